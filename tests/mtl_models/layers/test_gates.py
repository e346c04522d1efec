import numpy as np
import pytest

from mtl_models import Gates


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("batch", [1, 7])
def test_equals_softmax_of_each_gate(batch):
    x = np.random.default_rng(0).normal(size=(batch, 4)).astype("float32")
    layer = Gates(3, 5, seed=2)
    weights = np.asarray(layer(x))
    for g in range(3):
        np.testing.assert_allclose(weights[:, g], softmax(x @ np.asarray(layer.kernel)[g]), rtol=1e-5)


def test_one_input_a_gate():
    x = np.random.default_rng(0).normal(size=(6, 2, 4)).astype("float32")
    layer = Gates(2, 3, seed=2)
    weights = np.asarray(layer(x))
    for g in range(2):
        np.testing.assert_allclose(weights[:, g], softmax(x[:, g] @ np.asarray(layer.kernel)[g]), rtol=1e-5)


def test_wrong_number_of_inputs():
    with pytest.raises(ValueError, match="3 inputs for 2 gates"):
        Gates(2, 4).build((None, 3, 5))


def test_finite_at_extreme_inputs_and_summing_to_one():
    weights = np.asarray(Gates(2, 4, seed=1)(np.array([[3e30, -3e30], [0, 0]], "float32")))
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
