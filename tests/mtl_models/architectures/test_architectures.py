"""What holds for every architecture; each one's numbers are in a file of its own."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import mtl_models
from mtl_models import (
    AITM,
    CGC,
    ESCM2,
    ESMM,
    MTAN,
    PLE,
    CrossStitch,
    HardSharing,
    MMoE,
    SingleTask,
    SoftSharing,
    Task,
)

SMALL = {
    "aitm": (AITM, {"units": (6, 4)}),
    "cgc": (CGC, {"units": (4,)}),
    "cross_stitch": (CrossStitch, {"units": (6, 4)}),
    "escm2": (ESCM2, {"units": (6, 4), "imputation_units": (3,)}),
    "esmm": (ESMM, {"units": (6, 4)}),
    "hard_sharing": (HardSharing, {"units": (6, 4)}),
    "mmoe": (MMoE, {"experts": 3, "units": (6, 4)}),
    "mtan": (MTAN, {"units": (6, 4)}),
    "ple": (PLE, {"levels": 3, "units": (4,)}),
    "single_task": (SingleTask, {"units": (6, 4)}),
    "soft_sharing": (SoftSharing, {"units": (6, 4)}),
}
NAMES = sorted(SMALL)
TASKS = ("first", "second")
X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def make(name, **settings):
    architecture, small = SMALL[name]
    return architecture(**{**small, **settings})


def everything(layer, x):
    """All that the model asks of an architecture, in the order in which it asks."""
    z, rest = layer.share(x, training=False)
    features, gates = layer.separate(z, rest, training=False)
    towers = [ops.cast(ops.sum(features[:, i], axis=-1), "float32") for i in range(len(layer.tasks))]
    labels = [ops.cast(t > 0, "float32") for t in towers]
    weights = [ops.ones_like(t) for t in towers]
    penalty = ops.convert_to_tensor(layer.penalty(features, towers, labels, weights), "float32")
    return features, gates, layer.couple(towers, {}), penalty


def test_every_architecture_is_here():
    files = Path(mtl_models.__file__).with_name("architectures").glob("[a-z]*.py")
    assert NAMES == sorted(file.stem for file in files)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_at_any_batch_size(name, built):
    layer = built(make(name))
    whole = np.asarray(layer(X))
    assert whole.shape == (6, 2, 4) == (6, *layer.compute_output_shape((None, 5))[1:])
    np.testing.assert_allclose(layer(X[2:3]), whole[2:3], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(layer.separate(*layer.share(X))[0], whole)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("aitm", "esmm", "escm2")])
def test_one_task_alone(name, built):
    assert np.asarray(built(make(name), ("only",))(X)).shape == (6, 1, 4)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_eager(name, built, compiled):
    layer = built(make(name))
    eager, fast = everything(layer, X), compiled(lambda x: everything(layer, x))(ops.convert_to_tensor(X))
    for ours, theirs in zip(keras.tree.flatten(eager), keras.tree.flatten(fast)):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.15)])
@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_follows_float32(name, policy, tolerance, built):
    full, mixed = built(make(name)), built(make(name, dtype=policy))
    for ours, theirs in zip(full.weights, mixed.weights):
        assert keras.backend.standardize_dtype(theirs.dtype) == "float32"
        np.testing.assert_array_equal(ours, theirs)
    features, gates, _, penalty = everything(mixed, X)
    assert keras.backend.standardize_dtype(features.dtype) == policy.removeprefix("mixed_")
    expected, of_gates, _, of_penalty = everything(full, X)
    np.testing.assert_allclose(ops.cast(features, "float32"), expected, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(penalty, of_penalty, atol=tolerance, rtol=tolerance)
    for gate, values in gates.items():
        np.testing.assert_allclose(ops.cast(values, "float32"), of_gates[gate], atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_shared_variables_are_those_that_every_task_trains(name, built, gradients):
    """Of each variable: is there an element that every task's features move?"""
    tasks = ("a", "b", "c") if name != "escm2" else TASKS
    layer = built(make(name), tasks)
    x = np.random.default_rng(1).normal(size=(64, 5)).astype("float32")
    variables = layer.trainable_variables
    moved = [np.ones(v.shape, bool) for v in variables]
    for task in range(len(tasks)):
        found = gradients(lambda: ops.sum(ops.square(layer(x)[:, task])), variables)
        moved = [m & (g != 0) for m, g in zip(moved, found)]
    by_all = {v.path for v, m in zip(variables, moved) if m.any()}
    shared = {v.path for v in layer.shared_variables()}
    if name == "aitm":
        # the perceptrons are one variable; of it the first task's part alone is moved by all
        by_all -= {v.path for v in layer.stack.trainable_variables}
    assert shared == by_all
    if shared and name != "aitm":
        # where a variable is shared, no task has a part of it to itself that the rest never move
        assert all(m.mean() > 0.3 for v, m in zip(variables, moved) if v.path in shared)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_without_rows_is_in_no_penalty(name, built, gradients):
    """Whatever its labels, outputs and features are: exactly 0, and exactly no gradient."""
    layer = built(make(name), ("a", "b"))
    rng = np.random.default_rng(2)
    outputs = [rng.normal(size=6).astype("float32") for _ in range(2)]
    labels = [(rng.uniform(size=6) > 0.5).astype("float32") for _ in range(2)]
    for absent in range(2):
        weights = [np.full(6, float(i != absent), "float32") for i in range(2)]

        def penalty(outputs=outputs):
            return ops.convert_to_tensor(layer.penalty(layer(X), outputs, labels, weights), "float32")

        assert float(penalty()) == 0.0
        wild = [np.full(6, 1e4, "float32") if i == absent else o for i, o in enumerate(outputs)]
        assert float(penalty(wild)) == 0.0
        for gradient in gradients(penalty, layer.trainable_variables):
            assert (gradient == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_finite_far_out(name, built, gradients):
    layer = built(make(name))

    def total():
        features, _, outputs, penalty = everything(layer, X * 1e5)
        return ops.sum(features) * 1e-5 + sum(ops.sum(o) for o in outputs) * 1e-5 + penalty

    assert np.isfinite(float(total()))
    for gradient in gradients(total, layer.trainable_variables):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_gate_names_the_experts_it_weighs(name, built):
    tasks = ("a", "shared", "b") if name != "escm2" else TASKS
    layer = built(make(name), tasks)
    weights, names = layer.gate_weights(X), layer.gate_experts()
    assert sorted(weights) == sorted(names)
    for gate, values in weights.items():
        assert np.asarray(values).shape == (6, len(names[gate]))
        assert len(set(names[gate])) == len(names[gate])
        np.testing.assert_allclose(np.sum(values, 1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name, built):
    layer = make(name)
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(built(again)(X), built(layer)(X))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_of_training_alone(name, built):
    layer = built(make(name, dropout=0.5))
    np.testing.assert_array_equal(layer(X), layer(X, training=False))
    assert not np.allclose(layer(X), layer(X, training=True))


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_seed(name, built):
    first, same, other = (built(make(name), seed=s)(X) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_a_layer_serves_one_model(built):
    layer = built(MMoE())
    with pytest.raises(ValueError, match="already part of a model"):
        layer.bind([Task("a", "binary")], 0)


def test_no_task():
    with pytest.raises(ValueError, match="at least one task"):
        MMoE().bind([], 0)


@pytest.mark.parametrize(
    "architecture, setting",
    [(HardSharing, {"dropout": 1.0}), (MMoE, {"experts": 0}), (PLE, {"units": (0,)})],
)
def test_bounds(architecture, setting):
    with pytest.raises(ValueError, match=f"{architecture.__name__}: {next(iter(setting))} must be between"):
        architecture(**setting)
