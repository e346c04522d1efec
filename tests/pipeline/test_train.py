"""`mtl train` on a run's transformed examples, each time in a process of its own, as a user starts it."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml

from benchmarks.workers import free_ports
from pipeline.recipe import loads
from pipeline.recipe.dump import resolved
from pipeline.shards.columns import ColumnWriter
from pipeline.train import CannotTrain, fixed_differences, train

RECIPE = """
version: 1
name: shop
sources:
  log:
    files: log.csv
    columns:
      item: string
      x: float
      clicked: {type: int, known: after}
      seconds: {type: float, known: after}
roles: {}
features:
  item: {kind: categorical}
  x: {kind: numeric}
tasks:
  click: {kind: binary, label: clicked}
  watch: {kind: regression, label: seconds}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: mmoe, experts: 2, units: [8], dropout: 0.1}, embedding_dim: 4}
weighting: {name: equal}
training: {batch_size: 16, epochs: 6, steps_per_execution: 2, stopping: {patience: 6}}
gates: none
"""


def write_examples(path, rows, seed):
    rng = np.random.default_rng(seed)
    item, x = rng.integers(0, 10, rows), rng.normal(size=rows).astype("float32")
    columns = {
        "ids": item,
        "numbers": x,
        "click/label": (item % 2 == 1).astype("float32"),
        "watch/label": x + item.astype("float32"),
    }
    columns |= {
        f"{t}/{part}": np.ones(rows, "float32") for t in ("click", "watch") for part in ("mask", "weight")
    }
    path.parent.mkdir(parents=True)
    with ColumnWriter(path) as writer:
        writer.write(columns)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run's folder: its recipe, transformed examples, layout, and the history of its model."""
    from mtl_models import Layout

    home = tmp_path_factory.mktemp("shop")
    run = home / "runs" / "20260101T000000Z"
    write_examples(run / "transformed_examples" / "Split-train" / "a.arrow", 400, 1)
    write_examples(run / "transformed_examples" / "Split-validation" / "a.arrow", 100, 2)
    (run / "transform_graph").mkdir()
    (run / "transform_graph" / "layout.json").write_text(json.dumps(Layout.of({"item": 10}, ["x"]).to_dict()))
    (run / "recipe.yaml").write_text(resolved(loads(RECIPE)))
    (run / "model_run").mkdir()
    # worse than what any model comes to
    values = {"click": {"auc": 0.01, "logloss": 9.0}, "watch": {"mae": 30.0, "rmse": 40.0}}
    epoch = {"epoch": 1, "objective": -9.0, "validation": values}
    (run / "model_run" / "history.json").write_text(json.dumps({"epochs": [epoch], "best_epoch": 1}))
    (home / "recipe.yaml").write_text(RECIPE)
    return run


def on_second_epoch(number: int, process: str = "os.getpid()") -> str:
    """Code to begin with: once the second epoch is told, the process gets the signal before anything else."""
    return (
        "import os\n"
        "from rich.console import Console\n"
        "tell = Console.print\n"
        "def tells(console, *what, **how):\n"
        "    tell(console, *what, **how)\n"
        "    if what and str(what[0]).startswith('epoch   2:'):\n"
        f"        os.kill({process}, {int(number)})\n"
        "Console.print = tells"
    )


def start(run_dir, output, *settings, first="", **environment):
    code = (
        f"{first}\nimport sys\n"
        "from pipeline.cli import mtl\n"
        "try: mtl(sys.argv[1:])\n"
        "finally: print('TFX:', sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'tfx', 'tensorflow_transform', 'tfx_bsl', 'apache_beam', 'tensorflow_data_validation'}))\n"
    )
    recipe = run_dir.parent.parent / "recipe.yaml"
    arguments = ["train", str(recipe), "--from", str(run_dir), "--output", str(output)]
    for setting in settings:
        arguments += ["-s", setting]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )


def in_tensorboard(folder) -> dict[str, int]:
    """What TensorBoard has of training: tag → how many values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "train"), {"tensors": 0}).Reload()
    return {tag: len(events.Tensors(tag)) for tag in events.Tags()["tensors"]}


def test_trains_without_tfx_goes_on_after_ctrl_c_and_ends_the_same(run_dir, tmp_path):
    whole = start(run_dir, tmp_path / "whole")
    told, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0, told
    assert "TFX: []" in told
    assert "epoch   1: loss" in told and "this model beats the run's: objective" in told
    assert "better in click auc, click logloss, watch mae, watch rmse; worse in nothing" in told
    assert {p.name for p in (tmp_path / "whole").iterdir()} >= {
        "model.keras", "history.json", "metrics.json", "state.npz", "tensorboard", "log.txt",
    }  # fmt: skip

    shown = in_tensorboard(tmp_path / "whole" / "tensorboard")
    assert shown.keys() >= {
        "epoch_loss", "epoch_click_loss", "epoch_watch_loss", "epoch_click_weight", "epoch_watch_weight",
        "epoch_gradient_norm/click", "epoch_gradient_norm/watch", "epoch_gradient_cosine/click and watch",
        "epoch_gate_entropy/click", "epoch_gate_mean/watch/expert_1", "epoch_gate_load/click/expert_0",
        "epoch_validation/click_auc", "epoch_objective",
    }  # fmt: skip
    assert set(shown.values()) == {6}

    stopped = start(run_dir, tmp_path / "stopped", first=on_second_epoch(signal.SIGINT))
    told, _ = stopped.communicate(timeout=600)
    assert stopped.returncode == 130 and "epoch   6:" not in told, told
    assert "the best epoch so far is" in told
    import keras

    import mtl_models.model  # noqa: F401, registers what is loaded

    assert keras.models.load_model(tmp_path / "stopped" / "model.keras").count_params() > 0
    again = start(run_dir, tmp_path / "stopped")
    told, _ = again.communicate(timeout=600)
    assert again.returncode == 0, told
    assert "epoch   1:" not in told and "epoch   6:" in told
    weights = [
        keras.models.load_model(tmp_path / name / "model.keras").get_weights()
        for name in ("whole", "stopped")
    ]
    for a, b in zip(*weights):
        np.testing.assert_array_equal(a, b)
    histories = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "stopped")]
    for history in histories:
        for entry in history["epochs"]:
            del entry["seconds"], entry["validation_seconds"]
    assert histories[0] == histories[1]
    recipe = run_dir.parent.parent / "recipe.yaml"
    with pytest.raises(CannotTrain, match="training with other settings or data; give another --output"):
        train(recipe, run_dir, tmp_path / "stopped", ["training.batch_size=32"])


def test_ctrl_c_within_the_first_epoch_leaves_a_model_too(run_dir, tmp_path, capfd, monkeypatch):
    import keras

    import pipeline.train

    def at_once(shown, at):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.train._Shown, "__call__", at_once)
    recipe = run_dir.parent.parent / "recipe.yaml"
    assert train(recipe, run_dir, tmp_path, ["training.jit_compile=false"]) == 130
    said = " ".join(capfd.readouterr().out.split())
    assert "is the model as it was within its first epoch. The same command begins anew" in said
    assert keras.models.load_model(tmp_path / "model.keras").optimizer.iterations == 2  # steps an execution
    assert not (tmp_path / "state.npz").exists()


def test_says_what_a_runs_examples_fix():
    other = yaml.safe_load(RECIPE)
    other["features"]["item"]["min_count"] = 7
    other["features"]["again"] = {"kind": "buckets", "column": "x", "count": 4}
    other["model"]["embedding_dim"] = 9
    other["tasks"]["watch"] |= {"loss": "mae", "loss_weight": 2.0}
    other["training"]["epochs"] = 1
    assert [d.partition(":")[0] for d in fixed_differences(loads(yaml.safe_dump(other)), loads(RECIPE))] == [
        "features.again",
        "features.item.min_count",
    ]


def test_refuses_other_features_and_runs_without_examples(run_dir, tmp_path):
    recipe = run_dir.parent.parent / "recipe.yaml"
    with pytest.raises(CannotTrain, match=r"features.item.min_count: 9 \(.* in the run\)"):
        train(recipe, run_dir, tmp_path, ["features.item.min_count=9"])
    empty = run_dir.parent / "20260102T000000Z"
    empty.mkdir()
    with pytest.raises(CannotTrain, match="has no transformed examples .*; .*20260101T000000Z has them"):
        train(recipe, empty, tmp_path)


def test_several_workers_need_a_cluster(run_dir, tmp_path, monkeypatch):
    recipe = run_dir.parent.parent / "recipe.yaml"
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(
        CannotTrain, match="TF_CONFIG is not set: start the same command once for each worker"
    ):
        train(recipe, run_dir, tmp_path / "never", ["training.distribution=multi_worker"])
    assert not (tmp_path / "never").exists()


def two_workers(run_dir, output, *settings, killed=False):
    """`mtl train` on both of two workers, of which the chief may kill the other after the second epoch."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    settings = ["training.distribution=multi_worker", *settings]

    def worker(index, first=""):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        return start(run_dir, output, *settings, first=first, TF_CONFIG=config)

    other = worker(1)
    return worker(0, on_second_epoch(signal.SIGKILL, str(other.pid)) if killed else ""), other


@pytest.mark.slow
def test_two_workers_train_one_model_and_go_on_after_one_was_killed(run_dir, tmp_path):
    import keras

    import mtl_models.model  # noqa: F401, registers what is loaded

    settings = ["model.architecture.dropout=0", "training.epochs=5"]
    alone = start(run_dir, tmp_path / "alone", *settings)
    assert alone.wait(timeout=600) == 0, alone.stdout.read()

    together = tmp_path / "together"
    chief, other = two_workers(run_dir, together, *settings, killed=True)
    told, _ = chief.communicate(timeout=600)
    assert chief.returncode == 1 and other.wait(timeout=60) == -signal.SIGKILL, told
    assert "stopped: another worker ended, or cannot be reached any more. Start all of them again" in told
    assert not (together / "history.json").exists()

    chief, other = two_workers(run_dir, together, *settings)
    told, told_there = chief.communicate(timeout=600)[0], other.communicate(timeout=600)[0]
    assert (chief.returncode, other.returncode) == (0, 0), told + told_there
    assert "as worker 0 of 2 (from 0)" in told and "epoch   1:" not in told and "epoch   5:" in told
    assert "as worker 1 of 2 (from 0)" in told_there and "trained; worker 0 has the model" in told_there
    assert {path.name for path in together.iterdir()} == {
        "model.keras", "history.json", "metrics.json", "state.npz", "tensorboard", "log.txt",
        "log-worker-1.txt",
    }  # fmt: skip

    two_devices = (
        "import tensorflow as tf\n"
        "cpu, two = tf.config.list_physical_devices('CPU')[0], [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, two)"
    )
    mirrored = start(
        run_dir, tmp_path / "mirrored", "training.distribution=mirrored", *settings, first=two_devices
    )
    told, _ = mirrored.communicate(timeout=600)
    assert mirrored.returncode == 0, told

    def ended(folder):
        weights = keras.models.load_model(folder / "model.keras").get_weights()
        return json.loads((folder / "history.json").read_text())["epochs"], weights

    epochs, weights = ended(tmp_path / "alone")
    for folder in (together, tmp_path / "mirrored"):
        found, found_weights = ended(folder)
        for here, there in zip(epochs, found, strict=True):
            assert here["losses"] == pytest.approx(there["losses"], rel=1e-4)
            for task, measured in here["validation"].items():
                assert measured == pytest.approx(there["validation"][task], rel=1e-4), task
        for a, b in zip(weights, found_weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
