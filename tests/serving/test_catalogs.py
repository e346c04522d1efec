"""Catalogs in the model: what a key finds, once saved and loaded as TensorFlow Serving does."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from pipeline.recipe import RecipeError, loads
from serving import inputs, ranking
from serving.catalogs import hold

RECIPE = """
version: 1
name: tiny
sources:
  log:
    files: a.csv
    columns: {user: int, article: string, hour: int, at: time, clicked: {type: int, known: after}}
  catalogs:
    people:
      files: b.csv
      key: user
      serving: in_model
      columns: {user: int, age: int, born: date, likes: "list[string]", unread: int}
    articles:
      files: c.csv
      key: id
      on: article
      serving: in_model
      columns: {id: string, price: float, brand: string, scores: "list[int]", picture: vector, at2: time}
    others: {files: d.csv, key: user, columns: {user: int, city: string}}
roles: {user: user, item: article, time: at}
features:
  hour: {kind: categorical}
  age: {kind: numeric}
  born: {kind: numeric}
  likes: {kind: categorical, max_length: 3}
  price: {kind: numeric}
  brand: {kind: categorical}
  scores: {kind: categorical, max_length: 3}
  picture: {kind: vector, dimension: 2}
  city: {kind: categorical}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""
NONE = np.iinfo(np.int64).min
PEOPLE = {
    "user": [7, -8, 9],
    "age": [30, None, 0],
    "born": [-5, 2, None],
    "likes": pa.array([["a", "é", "c"], [], None], pa.list_(pa.string())),
}
ARTICLES = {
    "id": ["x", "two\nlines", "é 1", ""],
    "price": [1.25, 2.0, None, 3.0],
    "brand": [None, "b", "brand", "c"],
    "scores": pa.array([None, [1], [3, 4], [5]], pa.list_(pa.int64())),
    "picture": pa.array([[0.5, -1], None, None, None], pa.list_(pa.float32())),
}


def test_a_request_has_keys_in_place_of_what_is_found_by_them():
    recipe = loads(RECIPE)
    assert recipe.held_columns == {
        "people": ["age", "born", "likes"],
        "articles": ["price", "brand", "scores", "picture"],
    }
    assert set(inputs.signature(recipe)) == {"user", "article", "hour", "city"}
    assert ranking.item_columns(recipe) == ["article"]
    held = {"age", "born", "likes", "price", "brand", "scores", "picture"}
    assert set(recipe.input_columns) == {"hour", "city"} | held


def test_a_catalog_of_which_nothing_is_read_asks_for_no_key():
    of_users = tuple(f"  {name}: {{" for name in ("age", "born", "likes", "city"))
    recipe = loads("\n".join(line for line in RECIPE.split("\n") if not line.startswith(of_users)))
    assert set(inputs.signature(recipe)) == {"article", "hour"}


def test_several_rows_a_key_cannot_be_held():
    with pytest.raises(RecipeError, match="in_model holds one row a key, and `time` says that there are sev"):
        loads(RECIPE.replace("key: id\n", "key: id\n      time: at2\n"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Held and saved; the file of keys is gone by the time that it is loaded."""
    recipe = loads(RECIPE)
    folder, keys = tmp_path_factory.mktemp("held"), tmp_path_factory.mktemp("keys")
    tables = {"people": pa.table(PEOPLE), "articles": pa.table(ARTICLES)}
    module = tf.Module()
    module.catalogs = hold(tables, recipe, keys)
    specs = inputs.signature(recipe)
    module.find = tf.function(
        lambda x: {n: v for c in module.catalogs.values() for n, v in c(x[c.key]).items()},
        [{n: specs[n] for n in ("user", "article")}],
    )
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.find})
    for path in keys.iterdir():
        path.unlink()
    return folder / "1"


def loaded_as_here(folder):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def find(**keys):
        return {n: x.numpy() for n, x in signature(**{n: tf.constant(x) for n, x in keys.items()}).items()}

    return find


def loaded_as_served(folder):
    from serving.server.servable import Servable

    servable = Servable(folder, 1)
    return lambda **x: servable.call("", x, [], rows=100, seconds=60)


@pytest.mark.parametrize("load", [loaded_as_here, loaded_as_served])
def test_what_keys_find(saved, load):
    keys = {
        "user": np.array([7, -8, 9, 4, NONE]),
        "article": np.array([b"x", "é 1".encode(), b"two\nlines", b"", b"unknown"], object),
    }
    found = load(saved)(**keys)
    np.testing.assert_array_equal(found["age"], [30, NONE, 0, NONE, NONE])
    np.testing.assert_array_equal(found["born"], [-5, 2, NONE, NONE, NONE])
    likes = [[b"a", "é".encode(), b"c"], *[[b""] * 3] * 4]
    assert found["likes"].tolist() == likes
    np.testing.assert_array_equal(found["price"], np.float32([1.25, np.nan, np.nan, np.nan, np.nan]))
    assert found["brand"].tolist() == [b"", b"brand", b"", b"", b""]
    np.testing.assert_array_equal(found["scores"], [[NONE] * 2, [3, 4], *[[NONE] * 2] * 3])
    np.testing.assert_array_equal(found["picture"], [[0.5, -1], *[[np.nan] * 2] * 4])
