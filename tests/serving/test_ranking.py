"""Which inputs of `rank` are of the items, and that the others, transformed once, give the same."""

import numpy as np
import pytest
import tensorflow as tf

from mtl_models import Layout
from mtl_models.inputs.layout import CategoricalSlots, VectorInput
from pipeline.recipe import loads
from serving import inputs as raw
from serving import ranking

RECIPE = """
version: 1
name: tiny
sources:
  log:
    files: a.csv
    columns:
      user: int
      article: int
      place: int
      hour: int
      at: time
      clicked: {type: int, known: after}
  catalogs:
    people: {files: b.csv, key: user, columns: {user: int, age: int, likes: "list[int]"}}
    articles: {files: c.csv, key: id, on: article, columns: {id: int, price: float, words: "list[string]"}}
roles: {ROLES}
history:
  seen: {kind: last, by: user, of: article, n: 3}
  rate: {kind: rate, by: article, of: clicked == 1}
  times: {kind: count, by: [user, article]}
derived: {dear: price > 10, hours: hour + 1}
features:
  user: {kind: categorical}
  article: {kind: categorical}
  place: {kind: numeric}
  age: {kind: numeric}
  words: {kind: categorical, max_length: 3}
  likes: {kind: categorical, max_length: 3}
  seen: {kind: categorical}
  rate: {kind: numeric}
  times: {kind: numeric}
  dear: {kind: categorical}
  hours: {kind: numeric}
tasks:
  click: {kind: binary, label: clicked}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


@pytest.mark.parametrize(
    ("roles", "items"),
    [
        (
            "user: user, item: article, time: at, position: place",
            {"article", "place", "price", "words", "rate", "times"},
        ),
        ("user: user, item: article, time: at", {"article", "price", "words", "rate", "times"}),
        ("user: user, time: at, position: place", set()),
    ],
)
def test_items_are_what_is_joined_on_the_item_or_counted_by_it(roles, items):
    recipe = loads(RECIPE.replace("ROLES", roles))
    assert set(ranking.item_columns(recipe)) == items
    shapes = {name: spec.shape.as_list() for name, spec in ranking.signature(recipe).items()}
    assert shapes.keys() == recipe.input_columns.keys()
    for name, shape in shapes.items():
        assert shape[0] == (None if name in items else 1)
        assert shape[1:] == ([None] if name in ("words", "likes", "seen") else [])


ROLES = "user: user, item: article, time: at, position: place"
WITH_OTHERS = (
    RECIPE.replace("ROLES", ROLES)
    .replace('likes: "list[int]"}', 'likes: "list[int]", taste: vector}')
    .replace("hours: hour + 1}", "hours: hour + 1, late: hours > 12, ratio: price / age}")
    .replace(
        "  hours: {kind: numeric}",
        "  late: {kind: categorical}\n  ratio: {kind: numeric}\n"
        "  hours: {kind: numeric}\n  taste: {kind: vector, dimension: 2}",
    )
)


def test_the_user_and_context_are_transformed_once_where_they_have_lists():
    recipe = loads(WITH_OTHERS)
    assert set(ranking.shared_lists(recipe)) == {"seen", "likes", "taste"}
    layout = Layout(
        categorical=(
            CategoricalSlots("user", 0, 9, 0),
            CategoricalSlots("article", 9, 9, 1),
            CategoricalSlots("likes", 18, 9, 2, length=3),
        ),
        numbers=("age", "price", "ratio", "hours"),
        vectors=(VectorInput("taste", 2),),
    )
    looked_up = []

    def transform(x):
        looked_up.append({n: int(tf.size(v)) for n, v in x.items()})
        wide = tf.pad(x["likes"], [[0, 0], [0, 3]], constant_values=-1)[:, :3]
        taste = tf.pad(x["taste"], [[0, 0], [0, 2]], constant_values=np.nan)[:, :2]
        numbers = [tf.cast(x["age"], tf.float32), x["price"], x["price"] / tf.cast(x["age"], tf.float32)]
        numbers.append(tf.cast(x["hour"] + 1, tf.float32))
        ids = tf.concat([x["user"][:, None], x["article"][:, None], wide], axis=1)
        return {"ids": ids, "numbers": tf.stack(numbers, axis=1), "vector_taste": taste}

    given = {
        "user": [7], "hour": [13], "age": [40], "article": [1, 2, 3], "place": [1, 2, 3],
        "price": [1.5, np.nan, 30.0], "likes": [[4, 5, 6]], "taste": [[0.5, 0.25]],
    }  # fmt: skip
    inputs = {
        name: tf.constant(given[name], raw.dtype(column)) if name in given else raw.default(column)
        for name, column in recipe.input_columns.items()
    }
    found = ranking.packed(transform, layout, recipe, inputs)
    once, each = looked_up
    assert once["likes"] == each["likes"] == 3 and each["age"] == 3  # age is in the ratio, with each price
    wanted = transform(raw.one_batch(inputs))
    assert looked_up[-1]["likes"] == 9
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name].numpy(), value.numpy())
    nobody = {n: x[:0] if n in ("article", "place", "price") else x for n, x in inputs.items()}
    for name, value in ranking.packed(transform, layout, recipe, nobody).items():
        assert value.shape == (0, *wanted[name].shape[1:])
