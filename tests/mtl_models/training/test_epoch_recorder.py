import json

import keras
import numpy as np
import pytest

from mtl_models import EpochRecorder, Layout, MMoE, MultiTaskModel, Objective, RowAdam, Task, array_batches

LAYOUT = Layout.of({"user": 50})


def data(seed, rows=200):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 50, rows)
    y = {
        "click": (rng.random(rows) < 0.2 + 0.6 * (user % 2)).astype("float32"),
        "watch": (user % 5 + rng.normal(size=rows)).astype("float32"),
    }
    return {"user": user}, y, {t: np.ones(rows, "float32") for t in y}


def fit(recorder, epochs=12, rate=0.1):
    made = MultiTaskModel(
        LAYOUT,
        [Task("click", "binary"), Task("watch", "regression")],
        MMoE(experts=2, units=(16,)),
        embedding_dim=8,
    )
    made.compile(keras.optimizers.Adam(0.01), RowAdam(rate))
    made.fit(array_batches(data(0), 32), epochs=epochs, verbose=0, callbacks=[recorder])
    return made


def test_restores_the_best_epoch_and_stops_after_patience():
    x, y, w = data(1)
    recorder = EpochRecorder(
        (x, y, w), Objective({"click": 1, "watch": 1}), groups=x["user"] // 10, patience=2
    )
    fit(recorder, epochs=40)
    objectives = [entry["objective"] for entry in recorder.history]
    best = int(np.argmax(objectives))
    assert recorder.best_epoch == best + 1
    # it overfits 50 embeddings on 200 rows, so that it must stop, two epochs after the best
    assert len(objectives) == best + 3 < 40
    measured, _ = recorder._measure(recorder._answers()[0])
    assert measured == recorder.history[best]["validation"]


def test_history_is_json_and_whole():
    x, y, w = data(1)
    recorder = EpochRecorder((x, y, w), groups=x["user"] // 10)
    fit(recorder, epochs=2)
    history = json.loads(json.dumps(recorder.history))
    assert [entry["epoch"] for entry in history] == [1, 2]
    entry = history[0]
    assert set(entry["losses"]) == {"total", "click", "watch"}
    assert entry["task_weights"] == {"click": 1, "watch": 1}
    assert set(entry["validation"]["click"]) == {"auc", "logloss", "gauc"}
    assert set(entry["validation"]["watch"]) == {"mae", "rmse"}
    assert entry["objective"] == pytest.approx(np.mean(list(entry["gains"].values())))
    assert sum(entry["gate_use"]["click"].values()) == pytest.approx(1)
    assert entry["learning_rate"] == pytest.approx(0.01) and entry["best"] and entry["seconds"] > 0


def test_a_dead_expert_and_a_collapsed_gate_are_told_with_what_to_try():
    rng = np.random.default_rng(0)
    x = {"one": np.ones(64, "float32")}
    y = {task: rng.integers(0, 2, 64).astype("float32") for task in ("click", "like")}
    made = MultiTaskModel(
        Layout.of(numbers=["one"]), [Task(task, "binary") for task in y], MMoE(experts=3, units=(4,))
    )
    # softmax(0, 0, -9) and softmax(9, 0, -9)
    made.architecture.gates.kernel.assign([[[0.0, 0.0, -9.0]], [[9.0, 0.0, -9.0]]])
    made.compile(keras.optimizers.SGD(0.0))
    recorder = EpochRecorder((x, y))
    history = made.fit(x, y, verbose=0, callbacks=[recorder]).history
    dead, collapsed = [a for a in recorder.history[0]["alarms"] if a.startswith(("expert", "gate"))]
    assert dead.startswith("expert expert_2 is dead: no gate gives it") and "; try fewer experts" in dead
    assert collapsed.startswith("gate like has collapsed: expert expert_0 has 100.0%")
    assert "; try dropout in the experts" in collapsed
    # and as numbers, for TensorBoard
    assert history["gate_load/like/expert_0"] == [1.0] and history["gate_mean/click/expert_2"][0] < 1e-4
    assert history["gate_entropy/click"][0] == pytest.approx(np.log(2) / np.log(3), abs=1e-3)
    assert history["gate_entropy/like"][0] < 0.01


def test_a_task_without_validation_labels_is_left_out():
    x, y, w = data(1)
    recorder = EpochRecorder((x, y, {**w, "watch": np.zeros(200, "float32")}))
    fit(recorder, epochs=1)
    entry = recorder.history[0]
    assert entry["validation"]["watch"] == {"mae": None, "rmse": None} and entry["gains"]["watch"] is None
    assert entry["objective"] == entry["gains"]["click"]


def test_progress_is_told():
    calls = []
    x, y, w = data(1)
    fit(EpochRecorder((x, y, w), on_progress=calls.append, progress_steps=3), epochs=2)
    # 7 batches of 32 an epoch
    assert [(c["epoch"], c["step"]) for c in calls] == [(1, 3), (1, 6), (1, 7), (2, 3), (2, 6), (2, 7)]
    assert calls[2]["entry"]["epoch"] == 1 and all(c["steps"] == 7 for c in calls)


def test_divergence_is_an_error_that_says_what_to_do():
    x, y, w = data(1)
    with pytest.raises(FloatingPointError, match="epoch 1: .*loss.* is not finite.*clip_norm"):
        fit(EpochRecorder((x, y, w)), rate=1e38)


def test_a_validation_row_that_cannot_be_predicted_is_named():
    model = MultiTaskModel(
        Layout.of(numbers=["age"]), [Task("click", "binary"), Task("like", "binary")], MMoE(experts=2)
    )
    recorder = EpochRecorder(
        (
            {"age": np.array([0.0, np.nan, 1.0], "float32")},
            {"click": np.array([0, 1, 1.0]), "like": np.array([0, 1, 1.0])},
            {"click": np.array([1, 0, 1.0]), "like": np.ones(3)},
        )
    )
    recorder.set_model(model)
    recorder.on_train_begin()
    # the click of that row is not known
    with pytest.raises(FloatingPointError, match="'like' are not finite in 1 of 3 .* row 1"):
        recorder._measure(recorder._answers()[0])


def test_gauc_needs_groups():
    x, y, w = data(1)
    with pytest.raises(ValueError, match="needs groups"):
        fit(EpochRecorder((x, y, w), Objective({"click": 1}, {"click": "gauc"})))
