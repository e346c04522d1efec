import keras
import numpy as np

from mtl_models import EPNetGate, GateUnit, PPNetGate


def unit(x, weights):
    hidden_kernel, hidden_bias, kernel, bias = weights
    hidden = np.maximum(x @ hidden_kernel + hidden_bias, 0)
    return 2 / (1 + np.exp(-(hidden @ kernel + bias)))


def inputs(*widths):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(4, width)).astype("float32") for width in widths]


def test_gate_unit(drawn):
    (x,) = inputs(6)
    layer = GateUnit(3, 5)
    np.testing.assert_allclose(drawn(layer, x), unit(x, layer.get_weights()), rtol=1e-5)


def test_epnet(drawn):
    x, scenario = inputs(6, 2)
    layer = EPNetGate(5)
    found = drawn(layer, x, scenario)
    want = x * unit(np.concatenate([scenario, x], 1), layer.get_weights())
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


def test_ppnet(drawn):
    (prior,) = inputs(7)
    layer = PPNetGate(tasks=2, widths=(6, 3), units=5)
    found = drawn(layer, prior)
    weights = layer.get_weights()
    for i, width in enumerate((6, 3)):
        want = unit(prior, weights[4 * i : 4 * i + 4]).reshape(4, 2, width)
        np.testing.assert_allclose(found[i], want, rtol=1e-5)


def test_the_gate_does_not_train_the_vector_it_scales():
    x, scenario = inputs(6, 2)
    layer = EPNetGate(5, seed=1)
    gate = keras.ops.convert_to_numpy(layer(np.ones_like(x), scenario))
    assert (gate != 1).any()

    def total(x):
        return keras.ops.sum(layer(x, scenario))

    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(total)(x)
    else:
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = total(x)
        gradient = tape.gradient(value, x)
    # through the product alone
    scaled = keras.ops.convert_to_numpy(layer(x, scenario))
    np.testing.assert_allclose(np.asarray(gradient), scaled / np.asarray(x), rtol=1e-4)
