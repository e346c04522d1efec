import numpy as np
import pytest

from mtl_models import HardSharing

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize("x", [X, X[:1]])
def test_by_hand(x, built):
    layer = built(HardSharing(units=(4, 3)))
    h = x
    for kernel in layer.bottom.kernels:
        h = relu(h @ np.asarray(kernel)[0])
    z, rest = layer.share(x)
    np.testing.assert_allclose(z, h, rtol=1e-5, atol=1e-6)
    out = np.asarray(layer(x))
    assert out.shape == (len(x), 2, 3) and rest is None
    for task in range(2):
        np.testing.assert_allclose(out[:, task], h, rtol=1e-5, atol=1e-6)
    assert layer.gate_weights(x) == {} and layer.gate_experts() == {}
