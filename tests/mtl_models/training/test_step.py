"""A training step against explicit gradients, task by task."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_models import PLE, HardSharing, Layout, MMoE, MultiTaskModel, RowAdagrad, Task, Weighting
from mtl_models.training import step
from mtl_models.training.batch import unpack
from mtl_models.training.forward import forward

LAYOUT = Layout.of({"user": 6, "tags": (5, 3)}, ["age"])
TASKS = [
    Task("click", "binary", loss_weight=2.0),
    Task("watch", "regression", scale=2.0),
    Task("like", "binary", loss_weight=0.5),
]
ROWS = 16


class Balanced(Weighting):
    """1 / ‖g_k‖, and keeps what it was given."""

    needs_gram = True

    def __init__(self, only_shared=False, **kwargs):
        super().__init__(**kwargs)
        self.only_shared = only_shared

    def build(self, input_shape=None):
        size = len(self.tasks)
        self.gram = self.add_weight((size, size), initializer="zeros", trainable=False, name="gram")
        self.present = self.add_weight((size,), initializer="zeros", trainable=False, name="present")
        self.built = True

    def call(self, losses, gram=None, present=None, training=None):
        self.gram.assign(gram)
        self.present.assign(keras.ops.cast(present, "float32"))
        norms = keras.ops.sqrt(keras.ops.diagonal(gram))
        return keras.ops.where(norms > 0, 1 / keras.ops.maximum(norms, 1e-6), 0.0)

    def regularization(self):
        return keras.ops.zeros((len(self.tasks),))


def batch(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "user": rng.integers(0, 6, rows),  # repeats, so that rows' gradients must be summed
        "tags": rng.integers(-1, 5, (rows, 3)),
        "age": rng.normal(size=rows).astype("float32"),
    }
    y = {
        "click": rng.integers(0, 2, rows).astype("float32"),
        "watch": rng.normal(size=rows).astype("float32"),
        "like": rng.integers(0, 2, rows).astype("float32"),
    }
    return x, y, {task: rng.integers(0, 3, rows).astype("float32") for task in y}


def model(weighting, architecture=None, over="representation", jit=False, clip_norm=None, **settings):
    made = MultiTaskModel(
        LAYOUT,
        TASKS,
        architecture or MMoE(experts=2, units=(4,)),
        tower_units=(3,),
        embedding_dim=3,
        embedding_scale=0.5,
        weighting=weighting,
        gram_over=over,
        **settings,
    )
    # plain descent of rate 1: weights move by the gradient; Adagrad from 1e12 moves rows by 1e-6 of it
    made.compile(
        keras.optimizers.SGD(1.0),
        RowAdagrad(1.0, initial_accumulator=1e12),
        clip_norm=clip_norm,
        jit_compile=jit,
        run_eagerly=not jit,
    )
    return made


def explicit(made, data, of):
    """Gradients of `of(forward)`, a scalar, with respect to the whole table, each dense variable, and z."""
    packed, labels, weights = unpack(data, made.layout, made.tasks)
    dense = [v.value for v in made.dense_variables()]
    table = made.feature_inputs.table.value
    with tf.GradientTape() as tape:
        ids = packed["ids"]
        rows = tf.gather(table, tf.maximum(ids, 0)) * tf.cast(ids >= 0, tf.float32)[..., None]
        found = forward(made, rows, packed, labels, weights, training=True)
        value = of(found)
    table_gradient, z, *rest = tape.gradient(value, [table, found.z, *dense], unconnected_gradients="zero")
    return tf.convert_to_tensor(table_gradient).numpy(), [g.numpy() for g in rest], z.numpy()


def explicit_gram(made, data, over):
    flat = []
    for i, task in enumerate(TASKS):
        table, dense, z = explicit(made, data, lambda found: task.loss_weight * found.losses[i])
        shared = {id(v) for v in made.shared_variables()}
        parts = [g for v, g in zip(made.dense_variables(), dense) if id(v) in shared]
        chosen = [z] if over == "representation" else [table, *parts]
        flat.append(np.concatenate([part.reshape(-1) for part in chosen]))
    return np.stack(flat) @ np.stack(flat).T


ARCHITECTURES = [
    lambda: HardSharing(units=(4,)),
    lambda: MMoE(experts=2, units=(4,)),
    lambda: PLE(levels=2, task_experts=1, shared_experts=2, units=(4,)),
]


@pytest.mark.parametrize("jit", [False, "small table", "great table"])
@pytest.mark.parametrize("over", ["representation", "parameters"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gram_and_update_are_those_of_explicit_gradients(architecture, over, jit, monkeypatch):
    if jit and architecture is not ARCHITECTURES[2]:
        pytest.skip("one architecture is compiled")
    if jit == "great table":
        monkeypatch.setattr(step, "SMALL_BATCH", 0)
    made, data = model(Balanced(), architecture(), over, bool(jit), embedding_l2=0.1), batch()
    gram = explicit_gram(made, data, over)
    size = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    assert np.abs(gram / size - np.eye(3)).max() > 0.1  # tasks that have to do with each other
    np.testing.assert_allclose(made.gradient_gram(*data) / size, gram / size, atol=1e-5)
    factors = np.array([task.loss_weight for task in TASKS]) / np.sqrt(np.diag(gram))

    def total(found):
        return tf.add_n([loss * factor for loss, factor in zip(found.losses, factors)]) + found.extra

    table, dense, _ = explicit(made, data, total)
    before = [v.numpy() for v in made.dense_variables()]
    table_before = made.feature_inputs.table.numpy()
    logs = made.train_on_batch(*data, return_dict=True) if jit else made.train_step(data)
    np.testing.assert_allclose(made.weighting.gram.numpy() / size, gram / size, atol=1e-5)
    for variable, was, gradient in zip(made.dense_variables(), before, dense):
        np.testing.assert_allclose(variable.numpy(), was - gradient, rtol=1e-5, atol=1e-6)
    accumulated = np.asarray(made.embedding_optimizer.slot("accumulator"))
    moved = (table_before - made.feature_inputs.table.numpy()) * np.sqrt(accumulated)
    np.testing.assert_allclose(moved, table, atol=1e-1)  # float32 shows 1e-6 of the table badly
    weights = [float(logs[f"{task.name}_weight"]) for task in TASKS]
    np.testing.assert_allclose(weights, 1 / np.sqrt(np.diag(gram)), rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("over", ["representation", "parameters"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_what_is_shared_is_weighed(architecture, over, jit):
    if jit and architecture is not ARCHITECTURES[2]:
        pytest.skip("one architecture is compiled")
    made, data = model(Balanced(only_shared=True), architecture(), over, jit), batch()
    weights = 1 / np.sqrt(np.diag(explicit_gram(made, data, over)))

    def total(factors):
        return lambda found: tf.add_n(
            [task.loss_weight * w * loss for task, w, loss in zip(TASKS, factors, found.losses)]
        )

    table, weighed, _ = explicit(made, data, total(weights))
    _, plain, _ = explicit(made, data, total([1.0] * 3))
    shared = {id(v) for v in made.shared_variables()}
    assert shared and not shared & {id(v) for v in made.towers.trainable_variables}
    before = [v.numpy() for v in made.dense_variables()]
    table_before = made.feature_inputs.table.numpy()
    made.train_on_batch(*data) if jit else made.train_step(data)
    for variable, was, a, b in zip(made.dense_variables(), before, weighed, plain):
        expected = was - (a if id(variable) in shared else b)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=variable.path)
    moved = (table_before - made.feature_inputs.table.numpy()) * 1e6
    np.testing.assert_allclose(moved, table, atol=1e-1)


@pytest.mark.parametrize("over", ["representation", "parameters"])
def test_rows_named_twice_move_by_the_sum(over):
    made, (x, y, w) = model(Balanced(), over=over), batch()
    made.embedding_optimizer.slots.assign(1e-12 + 0 * made.embedding_optimizer.slots)
    made.embedding_optimizer.learning_rate = 0.0  # Adagrad from 0 keeps the square of the gradient
    gram = explicit_gram(made, (x, y, w), over)
    factors = np.array([task.loss_weight for task in TASKS]) / np.sqrt(np.diag(gram))
    table, _, _ = explicit(
        made, (x, y, w), lambda found: tf.add_n([a * b for a, b in zip(found.losses, factors)])
    )
    made.train_step((x, y, w))
    found = np.sqrt(made.embedding_optimizer.slot("accumulator"))
    np.testing.assert_allclose(found, np.abs(table), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("over", ["representation", "parameters"])
def test_an_absent_task_changes_nothing(over):
    x, y, w = batch()
    w["watch"] = 0 * w["watch"]
    moved = []
    for label in (y["watch"], np.full(ROWS, 1e6, "float32")):
        made = model(Balanced(), over=over)
        made.train_step((x, {**y, "watch": label}, w))
        moved.append([v.numpy() for v in made.weights])
    for a, b in zip(*moved):
        np.testing.assert_array_equal(a, b)
    assert made.weighting.present.numpy().tolist() == [1, 0, 1]
    gram = made.weighting.gram.numpy()
    assert (gram[1] == 0).all() and (gram[:, 1] == 0).all() and gram[0, 2] != 0
    untouched = model(Balanced(), over=over)
    for head in (made.towers.heads[1], untouched.towers.heads[1]):
        np.testing.assert_array_equal(head.weights[0].numpy(), untouched.towers.heads[1].weights[0].numpy())


def test_a_float16_step_that_overflows_changes_nothing_but_the_scale():
    data = batch()
    made = model(Balanced(), dtype="mixed_float16")
    assert made.feature_inputs.table.dtype == "float32" and made.weighting.compute_dtype == "float32"
    before = [v.numpy() for v in [*made.dense_variables(), made.feature_inputs.table]]
    made.optimizer.dynamic_scale.assign(1e12)
    made.train_step(data)
    for variable, was in zip([*made.dense_variables(), made.feature_inputs.table], before):
        np.testing.assert_array_equal(variable.numpy(), was)
    assert float(made.optimizer.dynamic_scale) == pytest.approx(5e11)
    made.optimizer.dynamic_scale.assign(1024.0)
    made.train_step(data)
    assert all(np.isfinite(v.numpy()).all() for v in made.weights)
    assert (made.feature_inputs.table.numpy() != before[-1]).any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("over", ["representation", "parameters"])
def test_mixed_precision_is_near_float32(policy, over):
    # many rows: of few, one unit that bfloat16 turns off or on shows, and which does differs by processor
    data, moved = batch(512), []
    for dtype in ("float32", policy):
        made = model(Balanced(), over=over, clip_norm=0.5, dtype=dtype)
        if policy == dtype == "mixed_float16":
            made.optimizer.dynamic_scale.assign(1024.0)  # the mean of few rows has large gradients
        before = [v.numpy() for v in made.dense_variables()]
        made.train_step(data)
        assert made.weighting.gram.dtype == "float32"
        moved.append(
            np.concatenate([(b - v.numpy()).reshape(-1) for b, v in zip(before, made.dense_variables())])
        )
    exact, rough = moved
    cosine = exact @ rough / np.linalg.norm(exact) / np.linalg.norm(rough)
    assert cosine > (0.99 if policy == "mixed_bfloat16" else 0.999)
    assert np.linalg.norm(rough) == pytest.approx(np.linalg.norm(exact), rel=0.02)
    assert np.linalg.norm(exact) <= 0.5


class After(Weighting):
    """Keeps the losses before and after the step."""

    needs_losses_after = True

    def build(self, input_shape=None):
        self.seen = self.add_weight((2, len(self.tasks)), initializer="zeros", trainable=False, name="seen")
        self.epochs = self.add_weight((), initializer="zeros", trainable=False, name="epochs")
        self.built = True

    def call(self, losses, gram=None, present=None, training=None):
        return keras.ops.ones_like(losses)

    def regularization(self):
        return keras.ops.zeros((len(self.tasks),))

    def observe(self, losses_before, losses_after):
        self.seen.assign(keras.ops.stack([losses_before, losses_after]))

    def end_epoch(self):
        self.epochs.assign_add(1.0)


@pytest.mark.parametrize("jit", [False, True])
def test_a_weighting_is_told_the_losses_after_the_step_and_the_end_of_an_epoch(jit):
    x, y, w = batch()
    made = model(After(), jit=jit)
    made.compile(keras.optimizers.SGD(0.01), RowAdagrad(0.01), jit_compile=jit)
    expected = [made.evaluate(x, y, sample_weight=w, batch_size=ROWS, verbose=0, return_dict=True)]
    made.fit(x, y, sample_weight=w, batch_size=ROWS, epochs=1, shuffle=False, verbose=0)
    expected.append(made.evaluate(x, y, sample_weight=w, batch_size=ROWS, verbose=0, return_dict=True))
    for seen, logs in zip(made.weighting.seen.numpy(), expected):
        np.testing.assert_allclose(seen, [logs[f"{t.name}_loss"] for t in TASKS], rtol=1e-5)
    assert float(made.weighting.epochs) == 1


def test_unknown_gram_over_is_refused():
    with pytest.raises(ValueError, match="gram_over 'table' is not one of representation, parameters"):
        model(Balanced(), over="table")
