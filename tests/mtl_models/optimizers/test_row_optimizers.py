import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_models.optimizers
from mtl_models import RowAdagrad, RowAdam
from mtl_models.rows import (
    gather_rows,
    sum_gradients_of_every_row,
    sum_row_gradients,
    sum_row_gradients_in_place,
)

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


CASES = [
    (lambda: RowAdagrad(0.1, initial_accumulator=0.01), dense_adagrad, {"a": 0.01}),
    (lambda: RowAdam(0.1), dense_adam, {"m": 0.0, "v": 0.0}),
]


def test_every_optimizer_is_here_and_made_again_from_its_configuration():
    made = [make() for make, *_ in CASES]
    modules = {module.name for module in pkgutil.iter_modules(mtl_models.optimizers.__path__)}
    assert modules - {"_base"} == {type(optimizer).__module__.split(".")[-1] for optimizer in made}
    for optimizer in made:
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
        assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("make, reference, slots", CASES)
@pytest.mark.parametrize("how", ["unique", "in_place", "every_row"])
def test_touched_rows_follow_the_dense_rule_and_others_stay(make, reference, slots, how):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(ROWS, DIM)).astype("float32")
    table = keras.Variable(start)
    optimizer = make()
    optimizer.build([table])
    expected = start.astype("float64")
    slots = {k: np.full((ROWS, DIM), v) for k, v in slots.items()}
    touched = set()
    scratch = tf.Variable(rng.integers(0, ROWS, ROWS))
    summing = {
        "unique": sum_row_gradients,
        "in_place": lambda ids, gradients: sum_row_gradients_in_place(ids, gradients, scratch),
        "every_row": lambda ids, gradients: sum_gradients_of_every_row(ids, gradients, ROWS),
    }

    def step(ids, gradients):
        found = summing[how](ids, gradients)
        optimizer.apply_rows(found.rows, found.of_each_row(found.sums), found.named)
        return found.sums

    step = step if how == "unique" else tf.function(step, jit_compile=True)
    for t in range(1, 6):
        # ids repeat, some are padding, and rows 9 to 11 never come
        ids = rng.integers(-1, 9 if t > 2 else 5, size=(4, 3))
        gradients = rng.normal(size=(4, 3, DIM)).astype("float32")
        sums = step(tf.constant(ids), tf.constant(gradients))
        before = expected.copy()
        summed = np.zeros((ROWS, DIM))
        for i, g in zip(ids.ravel(), gradients.reshape(-1, DIM)):
            if i >= 0:
                summed[i] += g
        np.testing.assert_allclose(np.square(sums).sum(), np.square(summed).sum(), rtol=1e-5)
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
    for name, initial in optimizer.initial_slots.items():
        np.testing.assert_array_equal(optimizer.slot(name)[9:], np.full((3, DIM), initial, "float32"))


@pytest.mark.parametrize("ids", [[-1, -1], []])
@pytest.mark.parametrize("every_row", [False, True])
def test_a_batch_without_ids_changes_no_row(ids, every_row):
    table = keras.Variable(np.ones((3, 1), "float32"))
    optimizer = RowAdam(0.1)
    optimizer.build([table])
    optimizer.apply_rows(tf.constant([0], tf.int64), tf.ones((1, 1)))
    before = [np.array(v) for v in (table, optimizer.slots)]
    ids = tf.constant(ids, tf.int64)
    gradients = tf.ones((len(ids), 1))
    if every_row:
        found = sum_gradients_of_every_row(ids, gradients, 3)
    else:
        found = sum_row_gradients_in_place(ids, gradients, tf.Variable(tf.zeros([3], tf.int64)))
    optimizer.apply_rows(found.rows, found.of_each_row(found.sums), found.named)
    for variable, old in zip((table, optimizer.slots), before):
        np.testing.assert_array_equal(variable, old)
    assert int(optimizer.iterations) == 1


def test_a_step_that_is_not_wanted_changes_nothing():
    table = keras.Variable(np.ones((3, 1), "float32"))
    optimizer = RowAdagrad(0.1)
    optimizer.build([table])
    optimizer.apply_rows(tf.constant([1], tf.int64), tf.fill((1, 1), float("nan")), tf.constant(False))
    np.testing.assert_array_equal(table, np.ones((3, 1)))
    assert int(optimizer.iterations) == 0


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


def test_an_optimizer_belongs_to_one_table():
    table, other = (keras.Variable(np.ones((3, 1), "float32")) for _ in range(2))
    optimizer = RowAdagrad(0.1)
    optimizer.build([table])
    optimizer.build([table])  # compiled again
    with pytest.raises(ValueError, match="RowAdagrad is already the optimizer of another table"):
        optimizer.build([other])


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
