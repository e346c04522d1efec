import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_models import MaskedPooling, TargetAttention

MASK = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]], bool)


def history(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, 5)).astype("float32"), rng.normal(size=(4, 3, 5)).astype("float32")


@pytest.mark.parametrize("method, divisor", [("mean", lambda n: n), ("sum", lambda n: 1), ("sqrtn", np.sqrt)])
def test_pooling_by_hand(drawn, method, divisor):
    _, items = history()
    found = drawn(MaskedPooling(method), items, MASK)
    for row, mask, pooled in zip(items, MASK, found):
        want = row[mask].sum(0) / divisor(mask.sum()) if mask.any() else np.zeros(5)
        np.testing.assert_allclose(pooled, want, rtol=1e-5, atol=1e-6)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="mean, sum, sqrtn; it is 'max'"):
        MaskedPooling("max")


def test_attention_by_hand(drawn):
    target, items = history()
    layer = TargetAttention(units=6, seed=1)
    found = drawn(layer, target, items, MASK)
    kernel, bias, slope, score_kernel, score_bias = layer.get_weights()
    for t, row, mask, pooled in zip(target, items, MASK, found):
        want = np.zeros(5)
        for h in row[mask]:
            z = np.concatenate([t, h, t - h, t * h]) @ kernel + bias
            weight = np.where(z > 0, z, slope * z) @ score_kernel + score_bias
            want += weight * h
        np.testing.assert_allclose(pooled, want, rtol=1e-4, atol=1e-5)


def test_attention_begins_near_sum_pooling_for_small_embeddings():
    target, items = history()
    found = keras.ops.convert_to_numpy(TargetAttention()(target / 100, items / 100, MASK))
    np.testing.assert_allclose(found, (items * MASK[..., None]).sum(1) / 100, atol=1e-3)


LAYERS = [MaskedPooling(method) for method in ("mean", "sum", "sqrtn")]
ATTENTION = TargetAttention(units=4, seed=3)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=4, max_size=4),
    st.sampled_from([0.0, 7.0, -1e30, np.inf, np.nan]),
)
def test_what_stands_where_nothing_is_never_matters(mask, padding):
    mask, (target, items) = np.array(mask), history(1)
    padded = np.where(mask[..., None], items, np.float32(padding))
    for layer, first in [*((layer, ()) for layer in LAYERS), (ATTENTION, (target,))]:
        clean = keras.ops.convert_to_numpy(layer(*first, items, mask))
        found = keras.ops.convert_to_numpy(layer(*first, padded, mask))
        np.testing.assert_array_equal(clean, found)
        assert (found[~mask.any(1)] == 0).all()
