import numpy as np
import pytest

from mtl_models import InformationTransfer


@pytest.mark.parametrize("batch", [1, 5])
def test_by_hand(batch):
    rng = np.random.default_rng(0)
    own, earlier = (rng.normal(size=(batch, 4)).astype("float32") for _ in range(2))
    layer = InformationTransfer(seed=2)
    layer.build(own.shape, earlier.shape)
    layer.transfer_bias.assign(rng.normal(size=4))
    z, weights = layer(own, earlier)
    w = {v.name: np.asarray(v) for v in layer.trainable_variables}
    q = np.maximum(earlier @ w["transfer_kernel"] + w["transfer_bias"], 0)
    for row in range(batch):
        scores = [np.dot(u @ w["query"], u @ w["key"]) / 2 for u in (own[row], q[row])]
        share = np.exp(scores) / np.sum(np.exp(scores))
        np.testing.assert_allclose(weights[row], share, rtol=1e-4)
        expected = share[0] * own[row] @ w["value"] + share[1] * q[row] @ w["value"]
        np.testing.assert_allclose(z[row], expected, rtol=1e-4, atol=1e-6)


def test_finite_far_out():
    x = np.full((2, 4), 1e15, "float32")
    z, weights = InformationTransfer()(x, -x)
    assert np.isfinite(z).all() and np.isfinite(weights).all()
