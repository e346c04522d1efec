"""Which inputs of `rank` are of the items."""

import pytest

from pipeline.recipe import loads
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
