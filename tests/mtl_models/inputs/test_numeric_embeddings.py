import numpy as np
import pytest

from mtl_models.inputs.numeric_embeddings import NumericEmbeddings

BINS = [[-1.0, 0.0, 2.0], [0.0, 0.5]]


def encoded(kind, layer, x):
    """Of each number by hand: [B, n, encoded]."""
    if kind == "periodic":
        angles = 2 * np.pi * x[..., None] * np.asarray(layer.encoding.frequency)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    first, second = x.T
    # between 0 and 1, but for what is below the first edge or above the last
    of_first = [np.minimum((first + 1) / 1, 1), np.maximum(first / 2, 0)]
    return np.stack([np.stack(of_first, 1), np.stack([second / 0.5, 0 * second], 1)], axis=1)


@pytest.mark.parametrize("kind", ["piecewise_linear", "periodic"])
@pytest.mark.parametrize("rows", [1, 6])
def test_by_hand(kind, rows):
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype("float32")
    layer = NumericEmbeddings(["a", "b"], kind, 3, BINS, frequencies=4, scale=0.5, seed=1)
    found = np.asarray(layer(x))
    kernel, bias = np.asarray(layer.linear.kernels[0]), np.asarray(layer.linear.biases[0])
    want = np.maximum(np.einsum("bne,neu->bnu", encoded(kind, layer, x), kernel) + bias, 0)
    assert found.shape == (rows, 6) and (found != 0).any()
    np.testing.assert_allclose(found, want.reshape(rows, 6), rtol=1e-4, atol=1e-5)
