import numpy as np
import pytest

from mtl_models import FeatureInputs, Layout

LAYOUT = Layout.of({"user": 4, "item": 3, "tags": (5, 3), "tab": 2}, ["age"], {"title": 2})
IDS = np.array([[1, 6, 8, 11, -1, 12], [3, -1, -1, -1, -1, 13]], "int64")
PACKED = {
    "ids": IDS,
    "numbers": np.array([[0.5], [2]], "float32"),
    "vector_title": np.array([[1, 2], [3, 4]], "float32"),
}


def built(**settings):
    layer = FeatureInputs(LAYOUT, embedding_dim=2, seed=1, embedding_scale=1.0, **settings)
    layer.build()
    return layer


def numpy_embeddings(table):
    zero = np.zeros(2, "float32")
    return np.array(
        [[table[1], table[6], (table[8] + table[11]) / 2, table[12]], [table[3], zero, zero, table[13]]]
    )


@pytest.mark.parametrize("rows", [2, 1])
def test_by_hand(rows):
    layer = built()
    expected = np.concatenate(
        [numpy_embeddings(layer.table.numpy()).reshape(2, -1), PACKED["numbers"], PACKED["vector_title"]], 1
    )
    out = np.asarray(layer({k: v[:rows] for k, v in PACKED.items()}))
    assert out.shape[1] == layer.width
    np.testing.assert_allclose(out, expected[:rows], rtol=1e-6)


def test_interactions_are_dot_products():
    layer = built(interactions=[("user", "item"), ("tab", "tags")])
    e = numpy_embeddings(layer.table.numpy())
    out = np.asarray(layer(PACKED))
    np.testing.assert_allclose(out[:, 8], (e[:, 0] * e[:, 1]).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(out[:, 9], (e[:, 3] * e[:, 2]).sum(-1), rtol=1e-5)
    assert out.shape[1] == layer.width == 13
    assert built(interactions="all").width == 11 + 6
    assert built(interactions=[]).width == built(interactions=None).width == 11


def test_vectors_are_projected():
    layer = built(vector_units=3)
    dense = layer.projections["title"]
    np.testing.assert_allclose(
        np.asarray(layer(PACKED))[:, -3:],
        PACKED["vector_title"] @ dense.kernel.numpy() + dense.bias.numpy(),
        rtol=1e-5,
    )


def test_no_categorical_features():
    layer = FeatureInputs(Layout(numbers=("age",)))
    layer.build()
    np.testing.assert_array_equal(layer({"numbers": PACKED["numbers"]}), PACKED["numbers"])


@pytest.mark.parametrize(
    "interactions, words",
    [([("user", "age")], "'age' is not a categorical"), (["user"], "not a pair"), ("some", "not a pair")],
)
def test_refuses_an_interaction(interactions, words):
    with pytest.raises(ValueError, match=words):
        built(interactions=interactions)
