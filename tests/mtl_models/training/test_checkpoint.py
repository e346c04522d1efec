import keras
import numpy as np
import pytest

from mtl_models import (
    Checkpoint,
    EpochRecorder,
    Layout,
    MMoE,
    MultiTaskModel,
    RowAdam,
    Task,
    Uncertainty,
    array_batches,
)
from mtl_models.training.array_batches import ITERATORS_PER_EPOCH


def data(seed):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 20, 96)
    y = {"click": (user % 2).astype("float32"), "watch": rng.normal(size=96).astype("float32")}
    return {"user": user}, y, {t: np.ones(96, "float32") for t in y}


def train(folder, epochs, stop_after=None, of="a"):
    """As `mtl train` does; stops as Ctrl-C would, within the epoch after `stop_after`."""
    made = MultiTaskModel(
        Layout.of({"user": 20}),
        [Task("click", "binary"), Task("watch", "regression")],
        MMoE(experts=2, units=(4,), dropout=0.3),
        weighting=Uncertainty(),
        dropout=0.2,
        embedding_dim=4,
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * 6)
    made.compile(keras.optimizers.Adam(rate), RowAdam(rate))
    recorder = EpochRecorder(data(1))
    checkpoint = Checkpoint(folder, recorder, of)
    done = checkpoint.restore(made)

    def interrupt(batch, logs):
        if stop_after is not None and len(recorder.history) == stop_after and batch == 2:
            raise KeyboardInterrupt

    made.fit(
        array_batches(data(0), 16, seed=3, skip_iterators=ITERATORS_PER_EPOCH * done),
        epochs=epochs,
        initial_epoch=done,
        verbose=0,
        shuffle=False,
        callbacks=[recorder, checkpoint, keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)],
    )
    return made, recorder


def told(history):
    return [{k: v for k, v in entry.items() if "seconds" not in k} for entry in history]


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    whole, recorder = train(tmp_path / "whole", 5)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", 5, stop_after=2)
    best = max(recorder.history[:2], key=lambda entry: entry["objective"])
    usable = keras.models.load_model(tmp_path / "stopped" / "model.keras")
    predicted = usable.evaluate(data(1)[0], data(1)[1], verbose=0, return_dict=True)
    assert predicted["click_loss"] == pytest.approx(best["validation"]["click"]["logloss"], rel=1e-4)
    again, resumed = train(tmp_path / "stopped", 5)
    assert told(resumed.history) == told(recorder.history)
    for a, b in zip(whole.weights, again.weights):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(whole.embedding_optimizer.variables, again.embedding_optimizer.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_state_of_other_settings_is_refused(tmp_path):
    train(tmp_path, 1)
    with pytest.raises(ValueError, match="state.npz is of a training with other settings"):
        train(tmp_path, 1, of="b")
