import numpy as np
import pytest

from mtl_models import MTAN

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def relu(z):
    return np.maximum(z, 0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("x", [X, X[:1]])
def test_by_hand(x, built):
    layer = built(MTAN(units=(4, 3)))
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    outputs = np.asarray(layer(x))
    p, shared = x, []
    for one in layer.shared_layers:
        p = relu(p @ np.asarray(one.kernels[0])[0] + np.asarray(one.biases[0])[0])
        shared.append(p)
    np.testing.assert_allclose(layer.share(x)[0], np.concatenate(shared, 1), rtol=1e-5, atol=1e-5)
    for task in range(2):
        taken = None
        for p, attention in zip(shared, layer.attentions):
            w = {v.name: np.asarray(v) for v in attention.trainable_variables}
            read = p
            if taken is not None:
                read = np.concatenate([p, relu(taken @ w["below_kernel"] + w["below_bias"])], 1)
            hidden = relu(read @ w["hidden_kernel"][task] + w["hidden_bias"][task])
            taken = sigmoid(hidden @ w["mask_kernel"][task] + w["mask_bias"][task]) * p
        np.testing.assert_allclose(outputs[:, task], taken, rtol=1e-4, atol=1e-5)


def test_something_to_mask():
    with pytest.raises(ValueError, match="units needs at least one"):
        MTAN(units=())
