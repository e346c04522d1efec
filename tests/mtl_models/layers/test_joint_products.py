import numpy as np
import pytest

from mtl_models import Experts, Gates
from mtl_models.layers.joint_products import joint_products


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_layers_are_what_they_are_without(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 7)).astype("float32")
    layers = [
        Experts(3, (4, 2), seed=1, dtype=dtype),
        Gates(2, 3, seed=2, dtype=dtype),
        Gates(1, 5, dtype=dtype),
    ]
    expected = [layer(x) for layer in layers]
    products = joint_products(x, layers)
    assert [tuple(p.shape) for p in products] == [(5, 3, 4), (5, 2, 3), (5, 1, 5)]
    for layer, product, plain in zip(layers, products, expected):
        found = layer(x, product)
        assert found.dtype == plain.dtype
        tolerance = 1e-5 if dtype == "float32" else 0.02
        np.testing.assert_allclose(np.float32(found), np.float32(plain), atol=tolerance)


def test_experts_without_units_have_no_product():
    x = np.ones((2, 3), "float32")
    experts, gates = Experts(2, ()), Gates(1, 2)
    for layer in (experts, gates):
        layer.build(x.shape)
    [none, product] = joint_products(x, [experts, gates])
    assert none is None and product.shape == (2, 1, 2)
    assert joint_products(x, [experts]) == [None]
