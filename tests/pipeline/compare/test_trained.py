"""Real models of two tasks that have nothing in common, and room for both: nothing is to be told."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.compare import words
from pipeline.compare.facts import facts_of
from pipeline.compare.models import Models
from pipeline.compare.variants import Variant, single_task
from pipeline.recipe import loads

WIDTH = 8
SEEDS = (1, 2)
RECIPE = f"""
version: 1
name: planted
sources:
  log:
    files: log.parquet
    columns:
      user_id: {{type: int, required: true}}
      first: {{type: int, known: after}}
      second: {{type: int, known: after}}
{"".join(f"      x{i}: {{type: float, required: true}}" + chr(10) for i in range(WIDTH))}
roles: {{user: user_id}}
features:
{"".join(f"  x{i}: {{kind: numeric, scaling: none}}" + chr(10) for i in range(WIDTH))}
tasks:
  first: {{kind: binary, label: first}}
  second: {{kind: binary, label: second}}
splits: {{by: hash, of: row, validation: 0.1, test: 0.1}}
model:
  architecture: {{name: hard_sharing, units: [16]}}
  tower_units: [4]
weighting: {{name: equal}}
training:
  batch_size: 128
  epochs: 8
  jit_compile: false
  optimizer: {{dense: {{name: adam, learning_rate: 0.01}}}}
  stopping: {{patience: 2}}
evaluation: {{replicates: 100}}
gates: none
"""


@pytest.fixture(scope="module")
def rows() -> SimpleNamespace:
    """What `Rows` gives: two tasks of eight numbers, each of which turns on numbers of its own."""
    from mtl_models import Layout

    generator = np.random.default_rng(5)
    total, layout = 9_000, Layout.of({}, [f"x{i}" for i in range(WIDTH)])
    x = generator.normal(size=(total, WIDTH)).astype("float32")
    ways = np.zeros((WIDTH, 2))
    ways[:4, 0] = ways[4:, 1] = [1.5, -1.5, 1.5, -1.5]
    labels = (generator.random((total, 2)) < 1 / (1 + np.exp(-x @ ways))).astype("float32")
    names = ("first", "second")

    def part(rows: slice) -> tuple[dict, dict, dict, dict]:
        label = {n: labels[rows, i] for i, n in enumerate(names)}
        known = {n: np.ones_like(v) for n, v in label.items()}
        return {"numbers": x[rows]}, label, known, known

    test = part(slice(7_000, None))
    columns = {"role/user": np.arange(2_000) // 2}
    for name in names:
        columns |= {f"{name}/{what}": test[i][name] for i, what in ((1, "label"), (2, "weight"), (3, "mask"))}
    return SimpleNamespace(
        content="apart",
        layout=layout,
        train=part(slice(0, 6_000)),
        validation=part(slice(6_000, 7_000)),
        test_inputs=test[0],
        judged=pa.table(columns),
    )


def test_compares_and_keeps_what_is_trained(rows, tmp_path):
    recipe = loads(RECIPE)
    single, shared = single_task(recipe), Variant("shared", (recipe,))
    models = Models(tmp_path, rows)
    for seed in SEEDS:
        for one in (*single.seeded(seed), *shared.seeded(seed)):
            models.train(one, lambda at: None)
    facts = facts_of(recipe, models, single, [shared], SEEDS)
    [variant] = facts["variants"]
    assert {t: of["verdict"] for t, of in variant["tasks"].items()} == dict.fromkeys(
        recipe.tasks, "cannot tell"
    )
    for of in variant["tasks"].values():
        decides = of["metrics"]["auc"]
        assert of["metric"] == "auc" and decides["single_task"] > 0.9 and decides["value"] > 0.9
        assert decides["low"] < decides["difference"] < decides["high"]
        assert decides["value"] - decides["single_task"] == pytest.approx(decides["difference"])
    assert (facts["rows"], facts["users"], facts["known"]) == (
        2_000,
        1_000,
        {"first": 2_000, "second": 2_000},
    )
    assert variant["cost"]["relative"]["parameters"] < 1
    [first, *_] = words.sentences(facts)
    assert first == "shared: sharing makes no difference that can be told of first and second."
    assert "| shared | second | auc |" in words.markdown(facts | {"run": "a run"})

    def refuse(at):
        raise AssertionError("what is kept was trained again")

    again = Models(tmp_path, rows)
    for one in (*single.seeded(1), *shared.seeded(2)):
        assert again.has(one)
        again.train(one, refuse)
    [other] = shared.seeded(3)
    assert not again.has(other)
