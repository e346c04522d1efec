import keras
import numpy as np
import pytest

from mtl_models import PeriodicEncoding, PiecewiseLinearEncoding

BINS = [[-1.0, 0.0, 2.0, 10.0], [0.0, 0.5]]


def by_the_paper(x, edges):
    """Equation 1 as it is written."""
    last = len(edges) - 1
    encoded = []
    for t in range(1, last + 1):
        if x < edges[t - 1] and t > 1:
            encoded.append(0.0)
        elif x >= edges[t] and t < last:
            encoded.append(1.0)
        else:
            encoded.append((x - edges[t - 1]) / (edges[t] - edges[t - 1]))
    return encoded


def test_piecewise_linear_by_the_paper(drawn):
    x = np.array([[-3, -3], [-1, 0], [0, 0.25], [1, 0.5], [2, 0.75], [10, 1], [26, -1]], "float32")
    found = drawn(PiecewiseLinearEncoding(BINS), x)
    want = [[by_the_paper(a, BINS[0]), by_the_paper(b, BINS[1]) + [0.0, 0.0]] for a, b in x]
    np.testing.assert_allclose(found, want, rtol=1e-6)


@pytest.mark.parametrize("edges", [[1.0], [0.0, 0.0, 1.0], [1.0, 0.0], [0.0, np.inf], [1.0, 1.0 + 1e-12]])
def test_edges_must_ascend(edges):
    with pytest.raises(ValueError, match="number 1 needs two edges at least, finite and ascending"):
        PiecewiseLinearEncoding([[0.0, 1.0], edges])


def test_periodic_by_hand(drawn):
    x = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    layer = PeriodicEncoding(3, seed=1)
    found = drawn(layer, x)
    angles = 2 * np.pi * x[..., None] * keras.ops.convert_to_numpy(layer.frequency)
    np.testing.assert_allclose(found, np.concatenate([np.sin(angles), np.cos(angles)], -1), atol=1e-5)


def test_periodic_frequencies_have_their_scale():
    layer = PeriodicEncoding(500, scale=3.0, seed=1)
    layer(np.zeros((1, 4), "float32"))
    drawn = keras.ops.convert_to_numpy(layer.frequency)
    assert drawn.std() == pytest.approx(3.0, rel=0.1) and len(np.unique(drawn)) == drawn.size
