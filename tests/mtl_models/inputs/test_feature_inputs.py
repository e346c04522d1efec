import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_models import CategoricalSlots, FeatureInputs, Layout, VectorInput

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


def test_each_vector_has_a_projection_and_dropout_of_its_own():
    layout = Layout.of({}, [], {"picture": 4, "words": 6, "sound": 2})
    layer = FeatureInputs(layout, vector_units={"words": 3}, vector_dropout={"picture": 0.5}, seed=1)
    layer.build()
    draws = np.random.default_rng(0)
    packed = {v.key: draws.normal(1, 1, (50, v.dim)).astype("float32") for v in layout.vectors}
    out = np.asarray(layer(packed))
    assert out.shape[1] == layer.width == 4 + 3 + 2
    dense = layer.projections["words"]
    expected = [
        packed["vector_picture"],
        packed["vector_words"] @ dense.kernel.numpy() + dense.bias.numpy(),
        packed["vector_sound"],
    ]
    np.testing.assert_allclose(out, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)
    trained = np.asarray(layer(packed, training=True))
    dropped = trained[:, :4] == 0
    assert 0.3 < dropped.mean() < 0.7
    np.testing.assert_allclose(trained[:, :4][~dropped], 2 * out[:, :4][~dropped], rtol=1e-6)
    np.testing.assert_array_equal(trained[:, 4:], out[:, 4:])
    again = FeatureInputs.from_config(layer.get_config())
    again.build()
    np.testing.assert_allclose(np.asarray(again(packed)), out, rtol=1e-6)
    with pytest.raises(ValueError, match="'smell' is not a vector; those are picture, words, sound"):
        FeatureInputs(layout, vector_units={"smell": 3})
    with pytest.raises(ValueError, match="vector_dropout must be between"):
        FeatureInputs(layout, vector_dropout={"words": 1.0})


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


# an item and a history of items in the same rows (missing 0, unknown 1), a page, a position
RICH = Layout(
    (
        CategoricalSlots("item", 0, 8, 0, 1, 1, 0),
        CategoricalSlots("history", 0, 8, 1, 3, 1, 0),
        CategoricalSlots("position", 8, 4, 4),
        CategoricalSlots("page", 12, 3, 5),
    ),
    ("age", "price"),
    (LAYOUT.vectors[0],),
)
RICH_INPUTS = {
    "ids": np.array([[2, 3, 2, -1, 8, 12], [7, -1, -1, -1, 9, 13], [0, 4, 5, 6, 11, 14]], "int64"),
    "numbers": np.array([[0.5, -1], [2, 0], [0, 1]], "float32"),
    "vector_title": np.array([[1, 2], [np.nan, np.nan], [3, 4]], "float32"),
}
EVERYTHING = {
    "id_dropout": 0.5,
    "attention": [("history", "item")],
    "attention_units": 4,
    "cross_layers": 2,
    "cross_rank": 2,
    "numeric_embedding": "piecewise_linear",
    "numeric_units": 3,
    "numeric_bins": [[0.0, 1.0, 2.0], [-1.0, 1.0]],
    "learned_absent": True,
    "vector_units": 2,
    "vector_dropout": 0.2,
    "position": "position",
    "position_tasks": ("click", "like"),
    "scenario": ("page",),
    "personal": ("item",),
    "gate_units": 4,
}


def rich(**settings):
    layer = FeatureInputs(RICH, embedding_dim=2, seed=1, embedding_scale=1.0, **settings)
    layer.build()
    return layer


def arrays(*tensors):
    return [np.asarray(tensor) for tensor in tensors]


def test_everything_at_once_is_its_layers_in_order():
    layer = rich(**EVERYTHING)
    table = layer.table.numpy()
    rows = layer.lookup(RICH_INPUTS)
    (x,) = arrays(layer.combine(rows, RICH_INPUTS))
    ids = RICH_INPUTS["ids"]
    history = layer.embeddings.attention["history"](table[ids[:, 0]], table[ids[:, 1:4]], ids[:, 1:4] >= 0)
    numbers = layer.numeric.linear(layer.numeric.encoding(RICH_INPUTS["numbers"]))
    vector = layer.projections["title"](layer.absent["title"](RICH_INPUTS["vector_title"]))
    page = table[ids[:, 5]]
    parts = [table[ids[:, 0]], history, page, np.reshape(numbers, (3, 6)), vector]
    want = layer.cross(layer.epnet(np.concatenate(parts, axis=1), page))
    np.testing.assert_allclose(x, want, rtol=1e-4, atol=1e-6)
    assert x.shape == (3, layer.width) == (3, 14) and layer.prior_width == 16
    (prior,) = arrays(layer.gates_input(rows, x))
    np.testing.assert_allclose(prior, np.concatenate([table[ids[:, 0]], x], axis=1), rtol=1e-6)
    for i in range(3):  # one row alone
        alone = {key: value[i : i + 1] for key, value in RICH_INPUTS.items()}
        np.testing.assert_allclose(np.asarray(layer(alone))[0], x[i], rtol=1e-4, atol=1e-5)


def test_nothing_new_has_weights_unless_asked_for():
    assert [w.shape for w in rich().weights if w.dtype == "float32"] == [(15, 2)]
    assert np.isfinite(np.asarray(rich()(RICH_INPUTS))).all()  # an absent vector is zeros


def test_the_position_feeds_nothing_but_its_tower_and_is_neutral_at_serving():
    layer = rich(position="position", position_tasks=("click",), position_dropout=0.0)
    moved = {**RICH_INPUTS, "ids": RICH_INPUTS["ids"].copy()}
    moved["ids"][:, 4] = [10, -1, 9]
    here, there = layer.lookup(RICH_INPUTS), layer.lookup(moved)
    np.testing.assert_array_equal(*arrays(layer.combine(here, RICH_INPUTS), layer.combine(there, moved)))
    trained, other = arrays(
        layer.position_logits(here, training=True), layer.position_logits(there, training=True)
    )
    assert trained.shape == (3, 1) and (trained != other).all()
    served, elsewhere = arrays(layer.position_logits(here), layer.position_logits(there))
    np.testing.assert_array_equal(served, elsewhere)
    np.testing.assert_allclose(served, np.full((3, 1), (trained.mean() + other.mean()) / 2), rtol=1e-5)


def test_dropped_ids_are_their_features_unknown_rows():
    layer = rich(id_dropout=0.9, position="position", position_tasks=("click",))
    ids = np.tile(RICH_INPUTS["ids"], (50, 1))
    (found,) = arrays(layer.drop_ids({"ids": ids}, training=True)["ids"])
    changed = found != ids
    assert (found[changed] == 1).all() and changed[:, 1:3].any() and not changed[:, 4:].any()
    assert not changed[(ids == 0) | (ids == -1)].any()
    np.testing.assert_array_equal(layer.drop_ids({"ids": ids})["ids"], ids)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_compiled_saved_and_in_16_bits(policy, tmp_path):
    layer = rich(**EVERYTHING, dtype=policy)
    rows = layer.lookup(RICH_INPUTS)

    def train(rows, packed):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            x = layer.combine(rows, packed, training=True)
            outputs = layer.position_logits(rows, training=True)
            total = tf.reduce_sum(tf.cast(x, "float32")) + tf.reduce_sum(outputs)
            total += tf.reduce_sum(tf.cast(layer.gates_input(rows, x), "float32"))
        return total, tape.gradient(total, rows)

    total, gradient = tf.function(train, jit_compile=True)(rows, RICH_INPUTS)
    assert np.isfinite(total) and np.isfinite(gradient).all() and gradient.shape == (3, 6, 2)
    assert (np.asarray(gradient)[RICH_INPUTS["ids"] < 0] == 0).all()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    for variable, value in zip(again.weights, layer.weights, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(*arrays(layer(RICH_INPUTS), again(RICH_INPUTS)))
    exact = rich(**EVERYTHING)
    for variable, value in zip(exact.weights, layer.weights, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(*arrays(layer(RICH_INPUTS), exact(RICH_INPUTS)), rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"attention": [("item", "page")]}, "'item' is not a multi-valued categorical feature"),
        ({"attention": [("history", "history")]}, "attention: 'history' is not a .* one value a row"),
        ({"attention": [("history", "item"), ("history", "page")]}, "two targets"),
        ({"scenario": ["age"]}, "scenario: 'age' is not a categorical feature with one value"),
        ({"position": "history", "position_tasks": ("a",)}, "position: 'history' is not"),
        ({"position": "position"}, "position_tasks must name"),
        (
            {"position": "page", "position_tasks": ("a",), "scenario": ["page"]},
            "scenario: 'page' is the posi",
        ),
        ({"position": "page", "position_tasks": ("a",), "interactions": [("page", "item")]}, "'page' is not"),
        ({"pooling": "max"}, "mean, sum, sqrtn"),
        ({"numeric_embedding": "fourier"}, "piecewise_linear, periodic; it is 'fourier'"),
        ({"numeric_embedding": "piecewise_linear"}, "numeric_bins .* age, price; it is missing"),
        ({"cross_rank": 0}, "cross_rank must be between 1"),
    ],
)
def test_refuses_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        rich(**settings)


def test_id_dropout_needs_an_unknown_row():
    with pytest.raises(ValueError, match="no categorical feature has an unknown row"):
        FeatureInputs(LAYOUT, id_dropout=0.1)


HELD = Layout(
    (CategoricalSlots("user", 0, 4, 0),), (), (VectorInput("title", 2, rows=3), VectorInput("own", 2))
)
MATRIX = np.array([[9, 9], [1, 2], [3, 4]], "float32")  # row 0 is for no vector, whatever is there


def test_vectors_that_the_model_holds_are_those_of_their_numbers():
    layer = FeatureInputs(HELD, embedding_dim=2, seed=1, interactions=[("user", "title")])
    layer.build()
    layer.hold("title", MATRIX)
    own = np.full((4, 2), np.nan, "float32")
    numbers = np.array([1, 0, 99, -1])
    packed = HELD.pack({"user": np.arange(4), "title": numbers, "own": own})
    x = np.asarray(layer(packed))
    np.testing.assert_array_equal(x[:, 3:5], [[1, 2], [0, 0], [0, 0], [0, 0]])
    dense = layer.meetings["title"]
    met = x[:, 3:5] @ dense.kernel.numpy() + dense.bias.numpy()
    np.testing.assert_allclose(x[:, 2], (layer.table.numpy() * met).sum(1), atol=1e-6)
    assert "vectors_title" not in [v.name for v in layer.trainable_variables]
    again = FeatureInputs.from_config(layer.get_config())
    again.build()
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(again(packed)), x)


def test_only_vectors_that_are_held_can_be_filled():
    layer = FeatureInputs(HELD, embedding_dim=2)
    layer.build()
    with pytest.raises(ValueError, match=r"'own' have shape \(3, 2\); the model holds {'title': \(3, 2\)}"):
        layer.hold("own", MATRIX)
    with pytest.raises(ValueError, match=r"have shape \(2, 2\)"):
        layer.hold("title", MATRIX[:2])
    with pytest.raises(TypeError, match="ids must be integers"):
        HELD.pack({"user": np.arange(2), "title": np.ones(2, "float32"), "own": np.ones((2, 2))})
