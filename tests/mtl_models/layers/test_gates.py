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
        np.testing.assert_allclose(weights[:, g], softmax(x @ layer.kernel.numpy()[g]), rtol=1e-5)


def test_one_input_a_gate():
    x = np.random.default_rng(0).normal(size=(6, 2, 4)).astype("float32")
    layer = Gates(2, 3, seed=2)
    weights = np.asarray(layer(x))
    for g in range(2):
        np.testing.assert_allclose(weights[:, g], softmax(x[:, g] @ layer.kernel.numpy()[g]), rtol=1e-5)


def test_hidden_experts_weigh_exactly_nothing():
    x = 100 * np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    layer = Gates(2, 4, visible=[[0, 3], [1, 2, 3]])
    weights = np.asarray(layer(x))
    assert (weights[:, 0, [1, 2]] == 0).all() and (weights[:, 1, 0] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        weights[:, 0, [0, 3]], softmax(x @ layer.kernel.numpy()[0][:, [0, 3]]), rtol=1e-4, atol=1e-7
    )


def test_a_gate_without_experts_is_refused():
    with pytest.raises(ValueError, match="at least one expert"):
        Gates(2, 4, visible=[[0], []])
