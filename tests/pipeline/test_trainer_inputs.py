"""A recipe that asks for everything the inputs can do, trained on arrays."""

import keras
import numpy as np

from mtl_models import CategoricalSlots, Layout, VectorInput, array_batches
from pipeline import trainer
from pipeline.recipe import loads
from pipeline.recipe.model import Training
from pipeline.trainer import build

RECIPE = loads("""
version: 1
name: tiny
sources:
  log:
    files: a.csv
    columns:
      user: int
      item: string
      page: string
      place: int
      age: float
      picture: vector
      at: time
      clicked: {type: int, known: after}
      watched: {type: float, known: after}
roles: {user: user, time: at}
history:
  last_items: {kind: last, by: user, of: item, n: 3}
features:
  item: {kind: categorical}
  last_items: {kind: categorical, shares: item}
  place: {kind: categorical}
  page: {kind: categorical}
  age: {kind: numeric}
  picture: {kind: vector, dimension: 2}
tasks:
  click: {kind: binary, label: clicked}
  watch: {kind: regression, label: watched}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model:
  architecture: {name: mmoe, experts: 2, units: [8]}
  embedding_dim: 4
  id_dropout: 0.1
  attention: [[last_items, item]]
  cross_layers: 1
  cross_rank: 2
  numeric_embedding: piecewise_linear
  numeric_units: 4
  numeric_bins: 5
  learned_absent: true
  position: place
  position_tasks: [click]
  scenario: [page]
  personal: [item]
weighting: {name: equal}
training: {jit_compile: true}
gates: none
""")
LAYOUT = Layout(
    (
        CategoricalSlots("item", 0, 12, 0, 1, 1, 0),
        CategoricalSlots("last_items", 0, 12, 1, 3, 1, 0),
        CategoricalSlots("place", 12, 5, 4, 1, 1, 0),
        CategoricalSlots("page", 17, 4, 5, 1, 1, 0),
    ),
    ("age",),
    (VectorInput("picture", 2),),
)


def test_a_recipe_with_every_input_setting_trains_saves_and_loads(tmp_path):
    rng = np.random.default_rng(0)
    rows = 512
    place = rng.integers(2, 5, rows)
    item = rng.integers(2, 12, rows)
    last = np.where(rng.random((rows, 3)) < 0.5, rng.integers(2, 12, (rows, 3)), -1)
    picture = rng.normal(size=(rows, 2)).astype("float32")
    picture[::4] = np.nan
    x = {
        "ids": np.column_stack([item, last, 12 + place, 17 + rng.integers(2, 4, rows)]),
        "numbers": rng.normal(size=(rows, 1)).astype("float32"),
        "vector_picture": picture,
    }
    y = {
        # clicks come from the item and, more still, from the place
        "click": (rng.random(rows) < 1 / (1 + np.exp(6 - 2 * place + 0.5 * (item % 2)))).astype("float32"),
        "watch": (x["numbers"][:, 0] + (last == item[:, None]).any(1)).astype("float32"),
    }
    w = {name: np.ones(rows, "float32") for name in y}
    model = build(RECIPE, LAYOUT, y, w, numbers=x["numbers"])
    assert [len(edges) for edges in model.feature_inputs.numeric_bins] == [1 + 5]
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    unknown = model.feature_inputs.table.numpy()[1]
    log = model.fit(array_batches((x, y, w), 64, seed=1), epochs=12, verbose=0).history
    for task in ("click", "watch"):
        assert log[f"{task}_loss"][-1] < 0.9 * log[f"{task}_loss"][0]
    found = model.predict(x, verbose=0)
    moved = {**x, "ids": x["ids"].copy()}
    moved["ids"][:, 4] = rng.permutation(moved["ids"][:, 4])
    np.testing.assert_array_equal(found["click"], model.predict(moved, verbose=0)["click"])
    assert abs(found["click"].mean() - y["click"].mean()) < 0.1
    # no row of the data names the unknown row: what moved it, every entry of it, is id dropout
    assert np.all(model.feature_inputs.table.numpy()[1] != unknown)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").predict(x, verbose=0)
    for task in y:
        np.testing.assert_allclose(found[task], loaded[task], rtol=1e-5, atol=1e-6)


def test_training_is_compiled_where_it_is_long_or_asked_for():
    assert not trainer._is_compiled(Training(epochs=5), 799)
    assert trainer._is_compiled(Training(epochs=5), 800)
    assert trainer._is_compiled(Training(epochs=1, jit_compile=True), 1)
    assert not trainer._is_compiled(Training(epochs=5, jit_compile=False), 10_000)
