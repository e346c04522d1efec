"""Pictures and titles through the whole pipeline: encoded, held by the model, asked of it by key; and a
vector that comes with the request."""

import csv
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml
from PIL import Image, ImageOps

from pipeline import Run
from pipeline.demo import generate
from pipeline.vectors import keys_file, read_matrices

BARE, DAMAGED, GONE = "i00001", "i00002", "nowhere"  # without content, with a damaged picture, no item at all


@pytest.fixture(scope="module")
def place(tmp_path_factory, root):
    """A world with content, and the content recipe with few features: what differs between items is their
    vectors alone."""
    folder = tmp_path_factory.mktemp("content")
    generate(folder / "data", 6_000, 3, content_effect=2.0, new_items=0.2)
    items = pd.read_csv(folder / "data/items.csv", dtype=str, keep_default_na=False)
    items.loc[items["item_id"] == BARE, ["picture", "title"]] = ""
    items.to_csv(folder / "data/items.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    (folder / "data/pictures" / f"{DAMAGED}.png").write_bytes(b"\x89PNG, once")
    own = [[float(i), 1.0, -1.0] if i % 3 else None for i in range(len(items))]
    table = {"item_id": items["item_id"].tolist(), "own": pa.array(own, pa.list_(pa.float32()))}
    pq.write_table(pa.table(table), folder / "data/own.parquet")
    recipe = yaml.safe_load((root / "data/demo_content/recipe.yaml").read_text())
    recipe["sources"]["catalogs"]["own"] = {
        "files": "own.parquet",
        "key": "item_id",
        "columns": {"item_id": "string", "own": "vector"},
    }
    kept = ("user_id", "picture", "title", "position")
    recipe["features"] = {name: recipe["features"][name] for name in kept}
    recipe["features"]["own"] = {"kind": "vector", "dimension": 3}
    recipe["model"]["interactions"] = [["user_id", "picture"], ["user_id", "title"]]
    recipe["content"] = {"max_failed_share": 0.5}
    recipe["gates"] = [
        {"vectors": "title", "metric": "shift", "against": "serving", "upper": 0.1},
        {"vectors": "picture", "metric": "shift", "against": "serving", "upper": 0.1},
        {"vectors": "picture", "metric": "absent", "upper": 0.2},
    ]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def outcome(place, go):
    return go(place / "recipe.yaml", place / "data", place / "output", "training.epochs=1")


@pytest.fixture(scope="module")
def ask(place, outcome):
    model = tf.saved_model.load(str(place / "output/demo_content/serving/1"))
    signature = model.signatures["serving_default"]

    def answer(items, own=None):
        """Click probabilities of one user for some items."""
        rows = len(items)
        own = np.full((rows, 3), np.nan, "float32") if own is None else np.array(own, "float32")
        found = signature(
            user_id=tf.constant(["u00001"] * rows),
            item_id=tf.constant(items),
            position=tf.constant([1] * rows, tf.int64),
            own=tf.constant(own),
        )
        return found["click"].numpy()

    return answer


def test_it_is_served_and_answers_alone_as_offline(outcome):
    assert outcome.code == 0 and outcome.metrics["pushed"]
    assert "HoldVectors" in outcome.ran


def test_an_item_without_content_and_an_unknown_one_have_the_absent_vector(ask):
    bare, gone, some, other = ask([BARE, GONE, "i00005", "i00007"])
    assert bare == gone
    assert len({bare, some, other}) == 3


def test_an_item_with_a_damaged_picture_still_has_its_title(ask, place):
    damaged, gone = ask([DAMAGED, GONE])
    assert damaged != gone
    held = json.loads(next((place / "output").glob("*/latest/transform_graph/vectors.json")).read_text())
    items = pd.read_csv(place / "data/items.csv", dtype=str, keep_default_na=False)
    assert held["picture"]["absent"] == 1 + (items["picture"] == "").sum()  # the damaged one
    assert sum(held["picture"]["reasons"].values()) == held["picture"]["absent"]
    assert held["title"]["absent"] == (items["title"] == "").sum()


def test_an_item_that_training_never_saw_has_its_vectors(ask, place):
    items = pd.read_csv(place / "data/items.csv", dtype=str, keep_default_na=False)
    shown = pq.read_table(place / "data/impressions").to_pandas()
    before = set(shown[shown["timestamp"] < pd.Timestamp("2024-03-12").value // 10**6]["item_id"])
    new = [i for i, p in zip(items["item_id"], items["picture"], strict=True) if i not in before and p]
    answers = ask([*new[:4], GONE])
    assert len(new) >= 4 and len(set(answers)) == 5


def test_a_vector_on_the_request_counts_for_an_item_that_is_unknown(ask):
    given, absent = ask([GONE, GONE], [[4, 1, -1], [np.nan] * 3])
    assert given != absent
    assert absent == ask([GONE])[0]


def test_vectors_are_watched_and_the_first_run_has_nothing_to_compare_with(outcome):
    gates = [gate["status"] for gate in outcome.metrics["gates"]]
    assert gates[-4:] == ["skipped", "skipped", "passed", "passed"]
    run = Run.load(outcome.folder)
    shown = run.vectors.set_index(["feature", "where"])
    assert {*shown.index.get_level_values("feature")} == {"picture", "title", "own"}
    test = outcome.metrics["rows"]["test"]
    assert (shown.loc[(["picture", "title", "own"], "shown"), "rows"] == test).all()
    assert 0 < shown.loc[("own", "shown"), "absent"] / test < 0.6
    page = (outcome.folder / "report/index.html").read_text()
    assert page.count("data:image/jpeg;base64,") > 20 and "Items of picture" in page
    assert "Encode" in run.steps["step"].tolist()


def test_the_same_content_is_not_a_reason_to_run_again(place, go, outcome):
    again = go(place / "recipe.yaml", place / "data", place / "output", "training.epochs=1")
    assert again.metrics["status"] == "unchanged"


def test_changed_pictures_are_refused_by_their_gate_and_another_encoder_is_not_compared(place, go, outcome):
    for path in (place / "data/pictures").glob("*.png"):
        if path.stem != DAMAGED:
            ImageOps.invert(Image.open(path).convert("RGB")).save(path)
    (place / "data/pictures/i00005.png").write_bytes((place / "data/pictures/i00007.png").read_bytes())
    declared = place / "data/encoders/words/encoder.yaml"
    declared.write_text(declared.read_text() + "normalize: true\n")
    changed = go(place / "recipe.yaml", place / "data", place / "output", "training.epochs=1")
    assert {"HoldVectors", "WatchVectors", "Trainer"} <= changed.ran
    assert "Ingest" not in changed.ran  # rows have no vectors, only keys
    [matrix] = read_matrices(changed.folder / "transform_graph", ["picture"]).values()
    keys = keys_file(changed.folder / "transform_graph", "picture").read_text().splitlines()
    assert (matrix[1 + keys.index("i00005")] == matrix[1 + keys.index("i00007")]).all()
    assert changed.code == 3 and changed.metrics["pushed"] is None
    title, picture, _ = [g for g in changed.metrics["gates"] if g["gate"] == "vectors"]
    assert title["status"] == "skipped" and "another encoder made version 1's" in title["sentence"]
    assert picture["status"] == "failed"
    assert "picture (encoder colours): shift from version 1's vectors" in picture["sentence"]
