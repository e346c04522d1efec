"""What holds for every layer: one row alone, XLA, from its configuration, saved, mixed precision."""

import importlib
import json
import pkgutil

import keras
import numpy as np
import pytest

import mtl_models.layers
from mtl_models import (
    AbsentVector,
    CrossNetwork,
    CrossStitchUnit,
    Dropout,
    EPNetGate,
    Experts,
    Gates,
    GateUnit,
    IdDropout,
    InformationTransfer,
    MaskedPooling,
    OrdinalHead,
    PeriodicEncoding,
    PiecewiseLinearEncoding,
    PositionBias,
    PPNetGate,
    TargetAttention,
    TaskAttention,
)


def rows(*shape):
    """Four rows of numbers."""
    return np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")


ABSENT = np.array([[1, 2], [np.nan, np.nan], [0, 0]], "float32")
MASK = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]], bool)
IDS = np.array([[5, 12, -1], [0, 10, 21]])

# of each layer some settings, and inputs that fit them
LAYERS = {
    AbsentVector: [({"learned": True}, ABSENT), ({}, ABSENT)],
    CrossNetwork: [({"depth": 2}, rows(4)), ({"depth": 2, "rank": 2}, rows(4))],
    CrossStitchUnit: [({"own": 0.25}, rows(3, 4))],
    Dropout: [({"rate": 0.5}, rows(6))],
    EPNetGate: [({"units": 5}, rows(6), rows(2))],
    Experts: [({"experts": 3, "units": (6, 2), "dropout": 0.25}, rows(4))],
    GateUnit: [({"outputs": 3, "units": 5}, rows(6))],
    Gates: [({"gates": 3, "experts": 5}, rows(4)), ({"gates": 2, "experts": 3}, rows(2, 4))],
    IdDropout: [({"rate": 0.5, "unknown": [1, -1, 21], "missing": [0, 10, 20]}, IDS)],
    InformationTransfer: [({}, rows(4), rows(4) + 1)],
    MaskedPooling: [({"method": method}, rows(3, 5), MASK) for method in ("mean", "sum", "sqrtn")],
    OrdinalHead: [({"initial": [1.0, -1.0]}, rows(4))],
    PeriodicEncoding: [({"frequencies": 3}, rows(2))],
    PiecewiseLinearEncoding: [({"bins": [[-1.0, 0.0, 2.0], [0.0, 0.5]]}, rows(2))],
    PositionBias: [({"outputs": 3}, rows(4))],
    PPNetGate: [({"tasks": 2, "widths": (6, 3), "units": 5}, rows(7))],
    TargetAttention: [({"units": 6}, rows(5), rows(3, 5), MASK)],
    TaskAttention: [({"tasks": 3}, rows(4), rows(3, 6))],
}
# whatever the policy
DTYPES = {IdDropout: "int", OrdinalHead: "float32", PositionBias: "float32"}


def test_every_layer_is_here():
    found = set()
    for module in pkgutil.iter_modules(mtl_models.layers.__path__):
        home = importlib.import_module(f"mtl_models.layers.{module.name}")
        classes = [v for v in vars(home).values() if isinstance(v, type) and v.__module__ == home.__name__]
        found |= {v for v in classes if issubclass(v, keras.layers.Layer)}
    assert found == set(LAYERS)


def arrays(found) -> list:
    found = found if isinstance(found, (list, tuple)) else [found]
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in found]


def compiled(layer):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(lambda *x: layer(*x))
    import tensorflow as tf

    return tf.function(lambda *x: layer(*x), jit_compile=True)


def made_again(config, layer, inputs):
    again = keras.saving.deserialize_keras_object(config)
    again(*inputs)
    again.set_weights(layer.get_weights())
    return again


@pytest.mark.parametrize(
    "cls, settings, inputs",
    [
        pytest.param(cls, settings, inputs, id=f"{cls.__name__}-{i}")
        for cls, cases in LAYERS.items()
        for i, (settings, *inputs) in enumerate(cases)
    ],
)
def test_keeps_the_rules(cls, settings, inputs, drawn):
    layer = cls(**settings)
    outputs = arrays(drawn(layer, *inputs))
    one_by_one = [arrays(layer(*(x[i : i + 1] for x in inputs))) for i in range(len(inputs[0]))]
    for found in (arrays(compiled(layer)(*inputs)), [np.concatenate(each) for each in zip(*one_by_one)]):
        for a, b in zip(outputs, found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = made_again(config, layer, inputs)
    assert again.get_config() == layer.get_config()
    for a, b in zip(outputs, arrays(again(*inputs)), strict=True):
        np.testing.assert_array_equal(a, b)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        config["config"]["dtype"] = policy
        mixed = made_again(config, layer, inputs)(*inputs)
        for x in mixed if isinstance(mixed, (list, tuple)) else [mixed]:
            assert keras.backend.standardize_dtype(x.dtype).startswith(DTYPES.get(cls, policy.split("_")[1]))
        for a, b in zip(outputs, arrays(mixed), strict=True):
            np.testing.assert_allclose(a, b, rtol=0.05, atol=0.05 * (1 + np.nanmax(np.abs(a))))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="the file is Keras' own; JAX is slow at it")
def test_all_are_saved_and_loaded(tmp_path):
    """In one model of Keras' own, of which each layer is an output."""
    ins, outs, given = [], [], []
    for cls, cases in LAYERS.items():
        for settings, *inputs in cases:
            layer, of_layer = cls(**settings), [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in inputs]
            outs += keras.tree.flatten(layer(*of_layer))
            ins += of_layer
            rng = np.random.default_rng(0)
            for variable in layer.trainable_variables:
                variable.assign(rng.normal(size=variable.shape) / 2)
            # a model has one batch size
            given += [np.concatenate([x, x])[:4] for x in inputs]
    model = keras.Model(ins, outs)
    expected = arrays(model(given))
    model.save(tmp_path / "layers.keras")
    loaded = keras.models.load_model(tmp_path / "layers.keras")
    for a, b in zip(expected, arrays(loaded(given)), strict=True):
        np.testing.assert_array_equal(a, b)
