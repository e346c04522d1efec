import numpy as np
import pytest

from mtl_models import CrossStitchUnit


@pytest.mark.parametrize("batch", [1, 5])
def test_each_unit_is_mixed_by_its_own_weights(batch):
    x = np.random.default_rng(0).normal(size=(batch, 3, 4)).astype("float32")
    layer = CrossStitchUnit()
    layer.build((None, 3, 4))
    alpha = np.random.default_rng(1).normal(size=(3, 3, 4)).astype("float32")
    layer.alpha.assign(alpha)
    expected = np.zeros_like(x)
    for u in range(4):
        expected[:, :, u] = x[:, :, u] @ alpha[:, :, u].T
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_it_starts_as_a_convex_mixture():
    layer = CrossStitchUnit(own=0.7)
    layer.build((None, 4, 2))
    alpha = np.asarray(layer.alpha)
    np.testing.assert_allclose(alpha.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(alpha[2, 2], 0.7, rtol=1e-6)
    np.testing.assert_allclose(alpha[2, 0], 0.1, rtol=1e-6)


def test_one_task_stays_as_it_is():
    x = np.ones((2, 1, 3), "float32")
    np.testing.assert_array_equal(CrossStitchUnit(own=0.7)(x), x)
