"""A batch divided among replicas against the whole batch on one.

Fast: two replicas simulated by threads of this process that add up what they have. Slow: TensorFlow's own,
two processes that talk over localhost, and two devices of one process, each started anew, since a process
cannot be given workers or devices once TensorFlow has begun.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.workers import free_ports
from mtl_models import (
    AITM,
    DWA,
    ESCM2,
    FAMO,
    EpochRecorder,
    Equal,
    GradNorm,
    HardSharing,
    Layout,
    MMoE,
    MultiTaskModel,
    PCGrad,
    RowAdagrad,
    SoftSharing,
    Task,
    Uncertainty,
    array_batches,
    replicas,
)
from mtl_models.draws import uniform
from mtl_models.training import distributed, step
from tests.mtl_models.training import on_workers


class Simulated:
    """What a replica asks of `tf.distribute`, of threads that wait for one another."""

    def __init__(self, count):
        self.num_replicas_in_sync = count
        self.here = threading.local()
        self.barrier = threading.Barrier(count, timeout=300)
        self.given = [None] * count

    @property
    def replica_id_in_sync_group(self):
        return self.here.number

    def _of_all(self, values):
        self.given[self.here.number] = tf.nest.flatten(values)
        self.barrier.wait()
        given = list(self.given)
        self.barrier.wait()
        return list(zip(*given))

    def all_reduce(self, _, values):
        return tf.nest.pack_sequence_as(values, [tf.add_n(same) for same in self._of_all(values)])

    def all_gather(self, values, axis):
        return tf.nest.pack_sequence_as(values, [tf.concat(same, axis) for same in self._of_all(values)])

    def run(self, functions):
        failed = []

        def call(number, function):
            self.here.number = number
            try:
                function()
            except Exception as error:
                failed.append(error)
                self.barrier.abort()

        threads = [threading.Thread(target=call, args=each) for each in enumerate(functions)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if failed:
            raise failed[0]


@pytest.fixture
def simulated(monkeypatch):
    context = Simulated(2)
    monkeypatch.setattr(replicas, "_context", lambda: context if hasattr(context.here, "number") else None)
    # here no optimizer sums what it is given
    monkeypatch.setattr(step, "of_first_replica", lambda value: value)
    return context


LAYOUT = Layout.of({"user": 6, "tags": (5, 3), "place": 4}, ["age"])
LISTS = Layout.of({"user": 6}, ["age"], side=["request"])


def batch(rows=13, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "user": rng.integers(0, 6, rows),
        "tags": rng.integers(-1, 5, (rows, 3)),
        "place": rng.integers(0, 4, rows),
        "age": rng.normal(size=rows).astype("float32"),
    }
    y = {task: rng.integers(0, 2, rows).astype("float32") for task in ("click", "buy", "watch")}
    weights = {task: rng.integers(0, 3, rows).astype("float32") for task in y}
    weights["buy"][rows // 2 :] = 0  # no label on the second replica
    return tf.nest.map_structure(tf.constant, (x, y, weights))


def build(architecture, weighting, over="representation", clip_norm=None, **settings):
    made = MultiTaskModel(
        LAYOUT,
        [
            Task("click", "binary", loss_weight=2.0),
            Task("buy", "binary"),
            Task("watch", "regression", scale=2.0),
        ],
        architecture,
        tower_units=(3,),
        embedding_dim=3,
        embedding_scale=0.5,
        weighting=weighting,
        gram_over=over,
        **settings,
    )
    made.compile(keras.optimizers.SGD(0.5), RowAdagrad(0.5), clip_norm=clip_norm, run_eagerly=True)
    return made


def state(model):
    variables = [*model.variables, *model.embedding_optimizer.variables]
    return {f"{i} {v.name}": np.asarray(v) for i, v in enumerate(variables)}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


CASES = {
    "equal, L2, position": lambda: build(
        HardSharing(units=(4,)),
        Equal(),
        embedding_l2=0.1,
        position="place",
        position_tasks=("click",),
        position_dropout=0.0,
    ),
    "uncertainty, clipped": lambda: build(MMoE(experts=2, units=(4,)), Uncertainty(), clip_norm=0.1),
    "pcgrad": lambda: build(MMoE(experts=2, units=(4,)), PCGrad()),
    "pcgrad over parameters": lambda: build(
        MMoE(experts=2, units=(4,)), PCGrad(), "parameters", embedding_l2=0.1
    ),
    "gradnorm": lambda: build(HardSharing(units=(4,)), GradNorm()),
    "famo": lambda: build(HardSharing(units=(4,)), FAMO()),
    "dwa, soft sharing": lambda: build(SoftSharing(units=(4,), strength=0.1), DWA()),
    "aitm": lambda: build(AITM(chain=("click", "buy"), units=(4,), calibrator_weight=1.0), Equal()),
    "escm2": lambda: build(ESCM2(chain=("click", "buy"), units=(4,)), PCGrad(), "parameters"),
}


@pytest.mark.parametrize("case", CASES)
def test_two_replicas_step_as_one_does(case, simulated):
    whole, *parts = (CASES[case]() for _ in range(3))
    for seed, rows in enumerate((13, 1)):  # of one row the first replica has none
        data = batch(rows, seed)
        logs = whole.train_step(data)
        found = [None, None]

        def replica(number):
            found[number] = parts[number].train_step(distributed._share(data))

        simulated.run([lambda: replica(0), lambda: replica(1)])
        for part, told in zip(parts, found):
            assert_same(state(part), state(whole))
            assert_same(tf.nest.map_structure(float, told), tf.nest.map_structure(float, logs))
    for model in (whole, *parts):
        model.weighting.end_epoch()
    assert_same(state(parts[0]), state(whole))


def test_requests_are_not_divided_and_lists_are_those_of_the_batch(simulated):
    def make():
        task = Task("click", "binary", loss="listwise")
        model = MultiTaskModel(LISTS, [task], HardSharing(units=(4,)), embedding_dim=2)
        model.compile(keras.optimizers.SGD(0.5), RowAdagrad(0.5), run_eagerly=True)
        return model

    request = np.array([4, 4, 9, 9, 9, 9, 1, 1, -1, -1])
    rng = np.random.default_rng(0)
    x = {"user": rng.integers(0, 6, 10), "age": rng.normal(size=10).astype("float32"), "request": request}
    data = tf.nest.map_structure(tf.constant, (x, {"click": rng.integers(0, 2, 10).astype("float32")}))
    whole, *parts = make(), make(), make()
    whole.train_step(data)
    found = [None, None]

    def replica(number):
        share = distributed._share(data)
        found[number] = share[0]["request"].numpy().tolist()
        parts[number].train_step(share)

    simulated.run([lambda: replica(0), lambda: replica(1)])
    assert found == [[4, 4, 9, 9, 9, 9], [1, 1, -1, -1]]
    assert_same(state(parts[0]), state(whole))
    assert_same(state(parts[1]), state(whole))


@pytest.mark.parametrize("of_rows", [True, False])
def test_replicas_draw_numbers_of_their_own_for_rows_alone(of_rows, simulated):
    made = [keras.random.SeedGenerator(5) for _ in range(2)]
    drawn = [None, None]

    def draw(number):
        drawn[number] = uniform((50,), made[number], of_rows).numpy()

    simulated.run([lambda: draw(0), lambda: draw(1)])
    assert np.array_equal(*drawn) is not of_rows
    assert np.array_equal(made[0].state, made[1].state)


def test_the_loop_is_that_of_keras_with_its_orders_callbacks_and_stopping(tmp_path):
    def train(strategy):
        with strategy.scope() if strategy is not None else contextlib.nullcontext():
            model = CASES["dwa, soft sharing"]()
            model.compile(keras.optimizers.SGD(0.3), RowAdagrad(0.5), steps_per_execution=2)
        recorder = EpochRecorder(batch(seed=1), patience=1)
        model.fit(
            array_batches(batch(50), 8, seed=3), epochs=9, verbose=0, shuffle=False, callbacks=[recorder]
        )
        return model, recorder.history

    plain, history = train(None)
    replicated, found = train(tf.distribute.OneDeviceStrategy("/cpu:0"))
    assert 1 < len(found) == len(history) < 9  # stopped by patience
    for here, there in zip(found, history):
        assert here["losses"] == pytest.approx(there["losses"], rel=1e-5)
        assert here["task_weights"] == pytest.approx(there["task_weights"], rel=1e-5)
    assert_same(state(replicated), state(plain))
    replicated.save(tmp_path / "model.keras")
    x = batch()[0]
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "model.keras").predict(x, verbose=0)["click"],
        plain.predict(x, verbose=0)["click"],
        rtol=1e-5,
    )


def test_what_replicas_cannot_train_is_refused():
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        made = CASES["pcgrad"]()
        with pytest.raises(ValueError, match="jit_compile: XLA compiles no step"):
            made.compile("adam", jit_compile=True)
        with pytest.raises(ValueError, match="mixed_float16: losses are not scaled"):
            made.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()))
    with pytest.raises(TypeError, match="on a dataset, as array_batches makes it, not on dict"):
        made.fit({"user": np.arange(3)})
    endless = tf.data.Dataset.from_tensors(batch()).repeat()
    with pytest.raises(ValueError, match="of a known number"):
        made.fit(endless)


def start(folder, mode, cases, config=None):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    if config is not None:
        environment["TF_CONFIG"] = json.dumps(config)
    command = [sys.executable, "-m", "tests.mtl_models.training.on_workers", mode, str(folder), *cases]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def assert_as_one_worker(folders, cases):
    for case in cases:
        wanted = on_workers.trained(case)
        for folder in folders:
            with np.load(Path(folder, f"{case}.npz")) as found:
                assert found.files == list(wanted)
                differences = {name: np.abs(found[name] - wanted[name]).max() for name in wanted}
            assert max(differences.values()) <= 1e-5, (case, folder, differences)


@pytest.mark.slow
def test_two_worker_processes_end_as_one_worker(tmp_path):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    cases, started = list(on_workers.CASES), []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        (tmp_path / str(index)).mkdir()
        started.append(start(tmp_path / str(index), "multi_worker", cases, config))
    told = [process.communicate(timeout=900)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(told)
    assert_as_one_worker([tmp_path / "0", tmp_path / "1"], cases)


@pytest.mark.slow
def test_two_devices_of_one_process_end_as_one(tmp_path):
    cases = ["hard sharing, uncertainty", "mmoe, pcgrad"]
    process = start(tmp_path, "mirrored", cases)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    assert_as_one_worker([tmp_path], cases)
