"""A recommender's first days on the demo's world, run once for all tests of this folder, whose files
`tests/conftest.py` keeps in one process.

The runs happen in this order, each on what the one before left, as they would in production.
"""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from serving import versions

GATES = """gates:
  - {task: click, metric: auc, lower: 0.52, max_drop: 0.1}
  - {task: like, metric: auc, lower: 0.55, max_drop: 0.1}
  - {task: purchase, metric: logloss, upper: 2}
  - {task: depth, metric: quadratic_kappa, lower: -1}
  - {task: click, metric: auc, slice: device=tablet, max_drop: 0.06, min_examples: 100}
  - {task: purchase, metric: logloss, max_drop: 1, interval: any}
  - {task: click, metric: rank_correlation, lower: 0.1}
"""
# what the demo itself does without
MORE = """history:
  recent_items: {kind: last, by: user_id, of: item_id, n: 3, where: click == 1, delay: 1m}
  item_rate: {kind: rate, by: item_id, of: click == 1, window: 3d}

downsampling: {task: like, keep: 0.5, correction: logit}

features:
  recent_items: {kind: categorical}
  item_rate: {kind: numeric}
"""
TASKS = """tasks:
  reaction:
    kind: multiclass
    label: "'like' if like == 1 else ('click' if click == 1 else 'none')"
    classes: [none, click, like]
  depth: {kind: ordinal, label: "floor(minimum(watch_seconds / 20, 3))", where: click == 1, classes: 4}
  seconds: {kind: regression, label: watch_seconds, where: click == 1, loss: log_mse, loss_weight: 0.1}
"""
# of the demo's features one of each kind: a run's time grows with their number
LEFT_OUT = ("segment", "country", "primary_device", "subcategory", "brand")


@pytest.fixture(scope="session")
def nine_days() -> tuple[str, ...]:
    """The settings of a run before the tenth day has come."""
    return "splits.validation_from=2024-03-11", "splits.test_from=2024-03-12"


@pytest.fixture(scope="session")
def place(tmp_path_factory, root):
    """A recipe with gates that so small a world can keep, and nine of its ten days."""
    folder = tmp_path_factory.mktemp("days")
    generate(folder / "all", 24_000, 5)
    shutil.copytree(folder / "all", folder / "data")
    for log in ("impressions", "propensities"):
        shutil.rmtree(folder / "data" / log / "2024-03-13")
    text = (root / "data/demo/recipe.yaml").read_text()
    start, end = text.index("gates:\n"), text.index("evaluation:\n")
    text = text[:start] + GATES + text[end:]
    # spans cannot go with downsampling
    for gone in ("spans: {by: day, window: 7}\n", "    - [user_id, subcategory]\n"):
        text = text.replace(gone, "")
    for name in LEFT_OUT:
        text = text.replace(f"  {name}: {{kind: categorical}}\n", "")
    text = text.replace("features:\n", MORE).replace("tasks:\n", TASKS)
    for label, method in (("click", "isotonic"), ("like", "platt")):
        text = text.replace(f"binary, label: {label}}}", f"binary, label: {label}, calibration: {method}}}")
    (folder / "recipe.yaml").write_text(text)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return folder


@pytest.fixture(scope="session")
def days(place, go, nine_days):
    """`first`, `next_day` and `shuffled`, and what served after each."""
    recipe, data, output = place / "recipe.yaml", place / "data", place / "output"
    serving = output / "demo" / "serving"
    seen = {"first": go(recipe, data, output, *nine_days), "after_first": versions.current(serving)}

    for log in ("impressions", "propensities"):
        shutil.copytree(place / "all" / log / "2024-03-13", data / log / "2024-03-13")
    seen["next_day"] = go(recipe, data, output)
    seen["after_next_day"] = versions.current(serving)

    shuffled = place / "shuffled"
    shutil.copytree(data, shuffled)
    draw = np.random.default_rng(0)
    for path in sorted(shuffled.glob("impressions/*/*.parquet")):
        table = pq.read_table(path)
        like = pa.array(draw.permutation(table["like"].to_numpy()))
        table = table.set_column(table.column_names.index("like"), "like", like)
        if path.parent.name < "2024-03-13":  # the test day's clicks stay what they are
            click, on_tablet = table["click"].to_numpy(), np.array(table["device"]) == "tablet"
            flipped = pa.array(np.where(on_tablet, 1 - click, click), table.schema.field("click").type)
            table = table.set_column(table.column_names.index("click"), "click", flipped)
        pq.write_table(table, path)
    seen["shuffled"] = go(recipe, shuffled, output)
    seen["after_shuffled"] = versions.current(serving)
    return seen
