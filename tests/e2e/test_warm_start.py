"""Days that begin from the model that serves: what it learned stays in its place; every other day is anew."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from google.protobuf import text_format

from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.plan import make_plan
from pipeline.recipe import load
from pipeline.runs.gc import unneeded
from pipeline.vocabulary import read_layout

pytestmark = pytest.mark.slow

RECIPE = """
version: 1
name: warm
sources:
  log:
    files: impressions/*/*.parquet
    columns:
      impression_id: {type: int, required: true}
      user_id: string
      item_id: string
      timestamp: {type: time, required: true}
      hour: {type: int, min: 0, max: 23}
      click: {type: int, known: after}
roles: {user: user_id, item: item_id, time: timestamp}
features:
  user_id: {kind: categorical}
  item_id: {kind: categorical}
  hour: {kind: numeric}
  late: {kind: buckets, column: hour, count: 4}
tasks: {click: {kind: binary, label: click}}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
spans: {by: day, window: 7, drift: null}
model: {architecture: {name: hard_sharing}, numeric_embedding: piecewise_linear}
weighting: {name: equal}
training:
  schedule: {name: cosine}
  warm_start: {full_retrain_every: 2}
gates: [{task: click, metric: auc, lower: 0.1}]
"""
DAYS = [f"2024-03-0{n}" for n in (4, 5, 6, 7)]
SETTINGS = ("evaluation.replicates=0",)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    generate(folder / "data", 4_000, 4)
    (folder / "recipe.yaml").write_text(RECIPE)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return folder


@pytest.fixture(scope="module")
def days(place, go, small):
    def span(name, *settings, **how):
        given = (*SETTINGS, *settings)
        return go(place / "recipe.yaml", place / "data", place / "output", *given, span=name, **how)

    def begins(name, *settings):
        recipe = load(place / "recipe.yaml", (*small, *SETTINGS, *settings))
        file, data = place / "recipe.yaml", place / "data"
        return make_plan(recipe, file, data, place / "output", "run", name).beginning

    seen = {name: span(name) for name in DAYS[:3]}
    seen["again"] = span(DAYS[2])
    # refused, so that what serves stays
    seen["anew"] = span(DAYS[2], "gates=[{task: click, metric: auc, lower: 0.999}]", cache=False)
    seen["planned"] = {
        "own": begins(DAYS[2]),
        "wider": begins(DAYS[3], "model.embedding_dim=3", "training.warm_start.full_retrain_every=9"),
        "slower": begins(
            DAYS[3], "training.optimizer.dense.learning_rate=0.5", "training.warm_start.full_retrain_every=9"
        ),
        "unseen": begins(DAYS[3], "features.late.count=5", "training.warm_start.full_retrain_every=9"),
        "gone": unneeded(place / "output/warm", 1),
    }
    seen[DAYS[3]] = span(DAYS[3])
    (seen[DAYS[3]].folder / "model_run/model.keras").write_bytes(b"of another time")
    seen["unread"] = span("2024-03-08", "training.warm_start.full_retrain_every=9")
    return seen


def test_the_first_model_is_trained_from_nothing(days):
    assert days[DAYS[0]].metrics["warm_start"] is None
    two = days[DAYS[1]].metrics
    assert (two["status"], two["warm_start"]["reason"], two["warm_start"]["since_full"]) == (
        "pushed",
        "no version serves yet",
        0,
    )


def test_the_next_begins_from_it_and_trains_on_what_it_has_not_seen(days):
    two, three = days[DAYS[1]], days[DAYS[2]]
    assert three.metrics["status"] == "pushed"
    began = three.metrics["warm_start"]
    assert (began["run"], began["version"], began["since_full"]) == (two.metrics["run"], "1", 1)
    rows = three.metrics["rows"]
    assert rows["dropped_reasons"] == {
        "trained on before, by the model that this one begins from": two.metrics["rows"]["train"]
    }
    whole = {s["name"]: s["rows"] for s in three.metrics["span"]["spans"]}
    trained = two.metrics["rows"]["validation"] + whole[DAYS[1]] - rows["validation"]
    assert rows["train"] == trained < whole[DAYS[0]] + whole[DAYS[1]] - rows["validation"]
    history = json.loads((three.folder / "model_run/history.json").read_text())
    assert history["kept_optimizer"] and len(history["epochs"]) == 1
    # the rate at the end: a cosine's is 0 where all is trained, and a day's rows are learned at all of it
    begun = json.loads((two.folder / "model_run/history.json").read_text())["epochs"]
    assert begun[-1]["learning_rate"] < history["epochs"][0]["learning_rate"] == pytest.approx(1e-3)
    assert "Began from version 1" in (three.folder / "report/index.html").read_text()


def test_ids_keep_their_rows_and_scalings_stay(days):
    two, three = days[DAYS[1]].folder, days[DAYS[2]].folder
    for name in ("user_id", "item_id"):
        old, new = (p / "vocabularies" / f"{name}.txt" for p in (two, three))
        old, new = old.read_bytes().splitlines(), new.read_bytes().splitlines()
        assert new[: len(old)] == old and len(set(new)) == len(new)
    assert len(new) >= len(old) > 10
    layouts = [read_layout(p / "transform_graph") for p in (two, three)]
    assert layouts[1].table_rows > layouts[0].table_rows
    kept = [json.loads((p / "transform_graph/statistics.json").read_text()) for p in (two, three)]
    assert kept[0] == kept[1]
    assert set(kept[0]) == {"hour.mean", "hour.var", "late.boundaries"}
    assert np.size(kept[0]["late.boundaries"]) == 3


def test_a_span_again_changes_nothing(days):
    assert days["again"].metrics["status"] == "unchanged" and not days["again"].ran
    anew = days["anew"].metrics
    assert anew["warm_start"] == days[DAYS[2]].metrics["warm_start"]
    assert "Trainer" in days["anew"].ran
    first, second = (
        [path.read_bytes() for path in sorted(of.folder.glob("model/**/variables/*"))]
        for of in (days[DAYS[2]], days["anew"])
    )
    assert first == second and len(first) == 2


def test_what_changed_is_said_and_trained_from_nothing(days):
    planned = days["planned"]
    assert planned["own"].base.version == "1"
    run = days[DAYS[2]].metrics["run"]
    assert planned["wider"].reason == f"model.embedding_dim changed since run {run}, which version 2 is from"
    assert planned["wider"].base is None and planned["wider"].since_full == 0
    assert planned["unseen"].reason.startswith("features.late changed since run")
    assert (planned["slower"].base.version, planned["slower"].since_full) == ("2", 2)


def test_the_report_tells_what_age_costs(days):
    assert days[DAYS[1]].metrics["staleness"] is None
    for name, ages in ((DAYS[2], [0, 1]), (DAYS[3], [0, 1, 2])):
        of = days[name]
        found = of.metrics["staleness"]
        entries = found["tasks"]["click"]
        assert [e["age"] for e in entries] == ages
        assert found["rows"] == of.metrics["rows"]["test"]
        click = of.metrics["tasks"]["click"]
        assert entries[0]["auc"] == pytest.approx(click["metrics"]["auc"])
        assert entries[1]["auc"] == pytest.approx(click["baseline"]["auc"])
        low, high = entries[1]["interval"]
        assert low < entries[1]["auc"] < high
        page = (of.folder / "report/index.html").read_text()
        assert '<section id="staleness">' in page and f"{DAYS[1]}, version 1" in page


def test_every_so_many_runs_train_from_nothing(days):
    four = days[DAYS[3]].metrics
    assert four["warm_start"]["reason"] == "one run in 2 does, and 2 came after the last that did"
    assert four["warm_start"]["since_full"] == 0 and not four["rows"]["dropped_reasons"]
    three = days[DAYS[2]].metrics["rows"]
    assert four["rows"]["train"] > three["train"] + sum(three["dropped_reasons"].values())


def test_a_model_that_cannot_be_read_any_more_is_begun_from_by_nobody(days):
    told, four = days["unread"].metrics, days[DAYS[3]].metrics
    assert days["unread"].code == 0 and told["warm_start"]["version"] is None
    assert told["warm_start"]["reason"].startswith(
        f"the model of run {four['run']}, which version 3 is from, cannot be loaded any more ("
    )
    assert not told["rows"]["dropped_reasons"] and told["rows"]["train"] > four["rows"]["train"]
    page = (days["unread"].folder / "report/index.html").read_text()
    assert "rained from nothing: the model of run" in page


def test_gc_keeps_what_the_next_run_begins_from(days):
    two, three = days[DAYS[1]], days[DAYS[2]]
    gone = days["planned"]["gone"]
    assert {two.metrics["run"], three.metrics["run"]} <= set(gone.keep.runs)
    kept = {(run.folder / part).resolve() for run in (two, three) for part in ("model_run", "vocabularies")}
    assert not kept & {artifact.path.resolve() for artifact in gone.artifacts}


# in a process of its own, as one cannot be given devices once TensorFlow has begun
ON_TWO_DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
cpu, two = tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from pipeline.run import run
place, settings = Path(sys.argv[1]), sys.argv[2:]
refused = ["training.seed=2", "gates=[{task: click, metric: auc, lower: 0.999}]"]
for of in ([], [*refused, "training.distribution=mirrored"], refused):
    print("exit code", run(place / "recipe.yaml", place / "data", place / "plain", (*settings, *of)))
"""


def test_a_run_without_spans_goes_on_from_the_last_on_one_device_or_two(place, small):
    settings = ["training.warm_start.full_retrain_every=9", "training.warm_start.keep_optimizer=true"]
    command = [sys.executable, "-c", ON_TWO_DEVICES, place, *small, *SETTINGS, *settings]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    codes = [line.split()[-1] for line in told.stdout.splitlines() if line.startswith("exit code")]
    assert codes == ["0", "3", "3"], told.stdout + told.stderr
    weights, metrics = [], []
    for folder in sorted((place / "plain/warm/runs").iterdir()):
        weights.append(keras.models.load_model(folder / "model_run/model.keras").get_weights())
        metrics.append(json.loads((folder / "report/metrics.json").read_text()))
        kept = json.loads((folder / "model_run/history.json").read_text())["kept_optimizer"]
        assert kept == (len(metrics) > 1)
    first, two, one = metrics
    assert first["warm_start"]["reason"] == "no version serves yet"
    for later in (two, one):
        assert (later["warm_start"]["run"], later["warm_start"]["version"]) == (first["run"], "1")
        # all there is, as nothing says which rows are new
        assert later["rows"]["train"] == first["rows"]["train"] and not later["rows"]["dropped_reasons"]
    assert {"Ingest", "StatisticsGen"} <= set(two["cached"]) and "Trainer" not in one["cached"]
    for on_two, on_one in zip(*weights[1:], strict=True):
        np.testing.assert_allclose(on_two, on_one, atol=1e-4)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(*weights[:2], strict=True))
