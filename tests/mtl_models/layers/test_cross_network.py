import numpy as np
import pytest

from mtl_models import CrossNetwork


@pytest.mark.parametrize("rank, weights", [(None, 2 * (16 + 4)), (2, 2 * (8 + 8 + 4))])
def test_by_hand(drawn, rank, weights):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    layer = CrossNetwork(2, rank, seed=1)
    found = drawn(layer, x)
    want = x
    for factors, bias in zip(layer.kernels, layer.biases):
        kernel = np.linalg.multi_dot([np.asarray(f) for f in factors]) if rank else np.asarray(factors[0])
        want = x * (want @ kernel + np.asarray(bias)) + want
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
    assert layer.count_params() == weights


def test_degree_grows_by_one_a_layer():
    layer = CrossNetwork(2, seed=0)
    x = np.ones((1, 3), "float32")
    layer(x)
    scales = np.arange(5.0)
    values = [np.asarray(layer(x * np.float32(s)))[0, 0] for s in scales]
    assert abs(np.diff(values, 4)[0]) < 1e-4 < abs(np.diff(values, 3)[0])
