import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mtl_models import PiecewiseLinearEncoding, quantile_bins

NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=True, min_value=None, max_value=None)


def test_evenly_filled():
    numbers = np.random.default_rng(0).exponential(size=(1000, 1))
    (edges,) = quantile_bins(numbers, 10)
    assert len(edges) == 11 and (edges[0], edges[-1]) == pytest.approx((numbers.min(), numbers.max()))
    counts, _ = np.histogram(numbers, edges)
    assert counts.min() >= 98 and counts.max() <= 102


@settings(max_examples=100, deadline=None)
@given(
    arrays("float32", (7, 2), elements=NUMBERS).filter(lambda x: np.isfinite(x).any(0).all()),
    st.integers(1, 9),
)
def test_always_edges_that_the_encoding_takes(numbers, count):
    bins = quantile_bins(numbers, count)
    assert all(2 <= len(edges) <= max(count, 1) + 1 for edges in bins)
    layer = PiecewiseLinearEncoding(bins)
    known = np.where(np.isfinite(numbers), numbers, np.float32(0))
    assert layer(known).shape == (7, 2, layer.width)


def test_refuses():
    with pytest.raises(ValueError, match="column 1 has no finite value"):
        quantile_bins(np.array([[1.0, np.nan]]), 3)
    with pytest.raises(ValueError, match="at least one bin"):
        quantile_bins(np.ones((2, 1)), 0)
