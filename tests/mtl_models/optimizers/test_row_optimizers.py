import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_models import RowAdagrad, RowAdam
from mtl_models.rows import gather_rows, sum_row_gradients

ROWS, DIM = 12, 3


def dense_adagrad(w, slots, g, t, o):
    slots["a"] += g**2
    return w - 0.1 * g / (np.sqrt(slots["a"]) + 1e-8)


def dense_adam(w, slots, g, t, o):
    slots["m"] = 0.9 * slots["m"] + 0.1 * g
    slots["v"] = 0.999 * slots["v"] + 0.001 * g**2
    m, v = slots["m"] / (1 - 0.9**t), slots["v"] / (1 - 0.999**t)
    # Keras' form, in which epsilon is added before the correction of the second moment
    return w - 0.1 * m / (np.sqrt(v) + 1e-7 / np.sqrt(1 - 0.999**t))


@pytest.mark.parametrize(
    "make, reference, slots",
    [
        (lambda: RowAdagrad(0.1, initial_accumulator=0.01), dense_adagrad, {"a": 0.01}),
        (lambda: RowAdam(0.1), dense_adam, {"m": 0.0, "v": 0.0}),
    ],
)
def test_touched_rows_follow_the_dense_rule_and_others_stay(make, reference, slots):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(ROWS, DIM)).astype("float32")
    table = keras.Variable(start)
    optimizer = make()
    optimizer.build([table])
    expected = start.astype("float64")
    slots = {k: np.full((ROWS, DIM), v) for k, v in slots.items()}
    touched = set()
    for t in range(1, 6):
        # ids repeat, some are padding, and rows 9 to 11 never come
        ids = rng.integers(-1, 9 if t > 2 else 5, size=(4, 3))
        gradients = rng.normal(size=(4, 3, DIM)).astype("float32")
        rows, sums = sum_row_gradients(tf.constant(ids), tf.constant(gradients))
        before = expected.copy()
        optimizer.apply_rows(rows, sums)
        summed = np.zeros((ROWS, DIM))
        for i, g in zip(ids.ravel(), gradients.reshape(-1, DIM)):
            if i >= 0:
                summed[i] += g
        here = np.zeros((ROWS, 1), bool)
        here[[i for i in ids.ravel() if i >= 0]] = True
        kept = {k: v.copy() for k, v in slots.items()}
        after = reference(before, slots, summed, t, optimizer)
        slots = {k: np.where(here, v, kept[k]) for k, v in slots.items()}
        expected = np.where(here, after, before)
        touched |= set(ids.ravel()) - {-1}
        np.testing.assert_allclose(table.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert len(touched) > 5
    np.testing.assert_array_equal(table.numpy()[9:], start[9:])
    for variable in optimizer.variables:
        if variable.shape == (ROWS, DIM):
            initial = 0.01 if "accumulator" in variable.path else 0.0
            np.testing.assert_array_equal(variable.numpy()[9:], np.full((3, DIM), initial, "float32"))


def test_adam_equals_keras_where_every_row_is_touched():
    start = np.random.default_rng(1).normal(size=(4, 2)).astype("float32")
    ours, theirs = keras.Variable(start), keras.Variable(start)
    sparse, dense = RowAdam(0.05), keras.optimizers.Adam(0.05)
    sparse.build([ours])
    for step in range(4):
        g = np.random.default_rng(step).normal(size=(4, 2)).astype("float32")
        sparse.apply_rows(tf.range(4, dtype=tf.int64), tf.constant(g))
        dense.apply([tf.constant(g)], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_a_schedule_sets_the_rate():
    table = keras.Variable(np.zeros((2, 1), "float32"))
    optimizer = RowAdagrad(
        keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.0]), initial_accumulator=0.0
    )
    optimizer.build([table])
    for _ in range(3):
        optimizer.apply_rows(tf.constant([1], tf.int64), tf.ones((1, 1)))
    np.testing.assert_allclose(table.numpy(), [[0], [-1]], rtol=1e-6)


def test_gather_rows_gives_zeros_for_padding():
    table = keras.Variable(np.arange(6, dtype="float32").reshape(3, 2))
    np.testing.assert_array_equal(gather_rows(table, tf.constant([[2, -1]])), [[[4, 5], [0, 0]]])
