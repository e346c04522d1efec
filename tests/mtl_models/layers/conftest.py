"""What every layer must do, on either of Keras' backends."""

import json

import keras
import numpy as np
import pytest


def _arrays(found):
    return [keras.ops.convert_to_numpy(x) for x in (found if isinstance(found, list) else [found])]


def _compiled(function):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


@pytest.fixture(scope="session")
def keeps_the_rules():
    """`keeps_the_rules(layer, *inputs)`: draws its weights anew, and holds one row alone, XLA, the layer made
    again from its configuration and mixed precision against the layer's outputs. Returns those."""

    def check(layer, *inputs, output_dtype=None):
        layer(*inputs)
        rng = np.random.default_rng(0)
        layer.set_weights([rng.normal(size=w.shape) / 2 for w in layer.weights])
        outputs = _arrays(layer(*inputs))
        for found in (
            _arrays(_compiled(lambda *x: layer(*x))(*inputs)),
            [np.concatenate(rows) for rows in zip(*(_one_by_one(layer, inputs)))],
        ):
            for a, b in zip(outputs, found, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        again = _with_weights(config, layer, inputs)
        for a, b in zip(outputs, _arrays(again(*inputs)), strict=True):
            np.testing.assert_array_equal(a, b)
        for policy in ("mixed_bfloat16", "mixed_float16"):
            config["config"]["dtype"] = policy
            mixed = _with_weights(config, layer, inputs)
            for a, b in zip(outputs, mixed(*inputs) if len(outputs) > 1 else [mixed(*inputs)], strict=True):
                assert keras.backend.standardize_dtype(b.dtype) == (output_dtype or policy.split("_")[1])
                b = keras.ops.convert_to_numpy(keras.ops.cast(b, "float32"))
                np.testing.assert_allclose(a, b, rtol=0.05, atol=0.05 * (1 + np.abs(a).max()))
        return outputs[0] if len(outputs) == 1 else outputs

    return check


def _one_by_one(layer, inputs):
    return [_arrays(layer(*(x[i : i + 1] for x in inputs))) for i in range(len(inputs[0]))]


def _with_weights(config, layer, inputs):
    again = keras.saving.deserialize_keras_object(config)
    again(*inputs)
    again.set_weights(layer.get_weights())
    return again
