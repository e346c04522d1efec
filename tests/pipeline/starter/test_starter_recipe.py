"""Recipes that were begun: what they say, that they load, and that data go through them."""

from datetime import UTC, datetime

import apache_beam as beam
import numpy as np
import pandas as pd
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import mtl
from pipeline.ingest.errors import DataError
from pipeline.ingest.run import ingest
from pipeline.recipe import load
from pipeline.starter.start import start


def in_process() -> beam.Pipeline:
    return beam.Pipeline(
        options=PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    )


def test_funnel(begin, campaign, tmp_path):
    found = begin(campaign=campaign)
    recipe = found.recipe
    assert {n: (t.kind, t.where) for n, t in recipe.tasks.items()} == {
        "visit": ("binary", None),
        "conversion": ("binary", "visit == 1"),
        "visit_seconds": ("regression", "visit == 1"),
        "spend": ("regression", "conversion == 1"),
    }
    assert [f.name for f in found.draft.treatments] == ["segment"] and "segment" in recipe.evaluation.slices
    assert [leak.field.name for leak in found.draft.leaks] == ["days_since_order"]
    after = {n for n, c in recipe.columns.items() if c.known == "after"}
    assert after == {"days_since_order", "visit", "visit_seconds", "conversion", "spend"}
    assert recipe.roles.named() == {} and (recipe.splits.by, recipe.splits.of) == ("hash", "row")
    assert recipe.columns["age"].missing == ["", "NA"] and recipe.columns["age"].type == "int"

    counts = ingest(recipe, tmp_path / "data", tmp_path / "out", in_process())
    assert counts.read == len(campaign) == sum(counts.written.values()) and not counts.dead
    assert sum(counts.known["visit"].values()) == len(campaign)
    assert sum(counts.known["conversion"].values()) == campaign.visit.sum()
    assert sum(counts.known["spend"].values()) == campaign.conversion.sum()


def test_shop_with_catalogs_and_events(begin, shop, tmp_path):
    found = begin(**shop)
    recipe = found.recipe
    assert found.draft.log.name == "log"
    assert recipe.roles.named() == {
        "user": "customer_id",
        "item": "product_id",
        "request": "request_id",
        "time": "ts",
        "position": "slot",
        "scenario": "page",
    }
    assert {n: (c.key, c.on) for n, c in recipe.sources.catalogs.items()} == {
        "customers": ("customer_id", None),
        "products": ("id", "product_id"),
    }
    assert recipe.columns["ts"].unit == "s" and recipe.columns["tags"].separator == "|"
    assert recipe.columns["country"].missing == ["", "NA"]
    assert recipe.columns["price"].known == "before"  # named like an amount, and the same for each product
    orders = recipe.sources.events["orders"]
    assert orders.keys == ["request_id", "customer_id", "product_id"]
    assert (orders.time, orders.unique) == ("ordered_at", ["order_id"])
    assert list(recipe.tasks) == ["clicked", "order", "amount"]
    assert recipe.tasks["order"].events.window == "12h" and recipe.tasks["order"].where == "clicked == 1"
    assert recipe.tasks["amount"].events.value == "amount" and recipe.tasks["amount"].where == "order == 1"
    assert "joined_age" in recipe.derived
    assert recipe.splits.by == "time"

    counts = ingest(recipe, tmp_path / "data", tmp_path / "out", in_process())
    log, orders = shop["log"], shop["orders"]
    unique = log.drop_duplicates(recipe.sources.log.unique)
    assert counts.rows_dropped == len(log) - len(unique) and not counts.rows_dead
    # a label of an order is known where the click is, and its 12 hours were over with the newest order
    closed = (unique.clicked == 1) & (unique.ts + 12 * 3600 <= orders.ordered_at.max())
    assert sum(counts.known["order"].values()) == closed.sum()


def test_days_of_the_split_hold_what_they_say(begin, shop):
    recipe = begin(**shop).recipe
    validation, test = (
        datetime.fromisoformat(d).replace(tzinfo=UTC).timestamp()
        for d in (recipe.splits.validation_from, recipe.splits.test_from)
    )
    ts = shop["log"].ts
    assert (ts >= test).mean() >= 0.08 and ((ts >= validation) & (ts < test)).mean() >= 0.08
    assert (ts < validation).mean() > 0.6


def test_snapshots_join_by_time(begin, shop):
    random = np.random.default_rng(0)
    history = pd.DataFrame(
        {
            "product_id": np.repeat(np.arange(80), 10),
            "valid_from": np.tile(1_699_900_000 + 100_000 * np.arange(10), 80),
            "stock": random.integers(0, 900, 800),
        }
    )
    found = begin(log=shop["log"], product_history=history)
    catalog = found.recipe.sources.catalogs["product_history"]
    assert (catalog.key, catalog.time) == ("product_id", "valid_from") and "stock" in found.recipe.features


def test_what_joins_nowhere_is_said_and_left_out(begin, shop):
    weather = pd.DataFrame({"city": ["a", "b", "c"], "rain": [0.1, 0.2, 0.3]})
    found = begin(log=shop["log"], weather=weather)
    assert not found.recipe.sources.catalogs
    assert any(w.startswith("weather: not used") for w in found.warnings)


def test_rare_outcomes_are_proposed_in_comments(begin, shop):
    random = np.random.default_rng(1)
    found = begin(log=shop["log"].assign(shared=(random.random(20_000) < 0.003).astype(int)))
    assert list(found.recipe.tasks) == ["clicked"] and found.recipe.columns["shared"].known == "after"
    assert "  # shared: {kind: binary, label: shared}  # about" in found.text


def test_texts_as_outcome(begin):
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"age": random.integers(18, 90, 3000), "city": random.choice(list("abc"), 3000)})
    frame["income"] = np.where(random.random(3000) < 0.2, "50000+.", "- 50000.")
    found = begin(people=frame)
    assert found.recipe.tasks["income"].label == "income == '50000+.'"


def test_what_followed_is_found_where_some_of_its_labels_are_lost(begin):
    draw = np.random.default_rng(3)
    clicked = draw.random(4000) < 0.3
    lent, days = np.where(clicked, draw.random(4000) < 0.5, np.nan), draw.integers(1, 29, 4000)
    known = np.where(draw.random(4000) < 0.03, np.nan, clicked)
    rows = {
        "shelf": draw.integers(0, 9, 4000),
        "clicked": known,
        "lent": lent,
        "days": np.where(lent == 1, days, np.nan),
    }
    recipe = begin(log=pd.DataFrame(rows)).recipe
    assert {name: task.where for name, task in recipe.tasks.items()} == {
        "clicked": None,
        "lent": "clicked == 1",
        "days": "lent == 1",
    }
    assert {"lent", "days"}.isdisjoint(f.column or n for n, f in recipe.features.items())


def test_no_outcome(begin):
    with pytest.raises(DataError, match="no column of it reads as an outcome"):
        begin(log=pd.DataFrame({"a": range(100), "b": range(100, 200)}))
    with pytest.raises(DataError, match="Two values are in geklickt: if it is one"):
        begin(log=pd.DataFrame({"geklickt": [0, 1] * 50, "b": range(100, 200)}))


def test_too_few_rows_for_a_first_recipe(begin):
    frame = pd.DataFrame({"age": [20, 30, 40, 50] * 30, "click": [0, 1, 0, 0] * 30})
    with pytest.raises(DataError, match=r"too rare for a first recipe: click \(about .* \(there are 120\)"):
        begin(log=frame)


def test_a_counter_of_rows_identifies_them_and_is_no_feature(begin, campaign):
    numbered = campaign.assign(**{"Mail Nr.": np.arange(7, 7 + len(campaign))})
    recipe = begin(campaign=numbered).recipe
    assert recipe.sources.log.unique == ["mail_nr"]
    assert not [name for name in recipe.features if name.startswith("mail_nr")]
    shuffled = numbered.sample(frac=1.0, random_state=1)
    assert "mail_nr" in begin(campaign=shuffled).recipe.features


def test_lines_that_are_no_rows_are_told(tmp_path):
    lines = [f"{i % 7},{i % 3 % 2}" for i in range(2000)]
    lines[5:5] = ["1,0,0", "1"]
    (tmp_path / "log.csv").write_text("\n".join(["age,click", *lines]) + "\n", encoding="utf-8")
    found = start([str(tmp_path)], tmp_path / "recipe.yaml")
    assert "log: 2 of 2,002 lines are no rows of 2 fields: dead letters of a run" in found.warnings


def test_names_that_yaml_and_recipes_do_not_take(begin):
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "User Name": random.choice(["ann: x", "bob # y", "c"], 2000),
            "on": random.normal(0, 1, 2000),
            "2nd": random.choice(["no", "yes", "null"], 2000),
            "ids": random.choice(["a", "b"], 2000),
            "vector_size": random.integers(0, 5, 2000),
            "class": random.choice(["a", "b"], 2000),
            "score": random.integers(0, 2, 2000),
            "Clicked?": random.integers(0, 2, 2000),
        }
    )
    recipe = begin(log=frame).recipe
    assert {n: c.column for n, c in recipe.columns.items() if c.column} == {
        "user_name": "User Name",
        "c_on": "on",
        "c_2nd": "2nd",
        "c_ids": "ids",
        "c_vector_size": "vector_size",
        "c_class": "class",
        "clicked": "Clicked?",
    }
    assert list(recipe.tasks) == ["clicked"]
    assert {"user_name", "c_2nd", "c_on", "c_class"} <= recipe.features.keys()


def test_command(tmp_path, campaign, monkeypatch):
    monkeypatch.chdir(tmp_path)
    campaign.head(5000).to_csv(tmp_path / "campaign.csv", index=False)
    first = CliRunner().invoke(mtl, ["recipe", "init", "campaign.csv", "--name", "mail"])
    assert first.exit_code == 0, first.output
    assert (
        "mtl recipe check recipe.yaml" in first.output and "leak: campaign.days_since_order" in first.output
    )
    recipe = load(tmp_path / "recipe.yaml")
    assert recipe.name == "mail"
    assert CliRunner().invoke(mtl, ["recipe", "check", "recipe.yaml"]).exit_code == 0
    written = (tmp_path / "recipe.yaml").read_text()
    again = CliRunner().invoke(mtl, ["recipe", "init", "campaign.csv", "--name", "other"])
    assert again.exit_code == 2 and "--force" in again.output
    assert (tmp_path / "recipe.yaml").read_text() == written
    assert CliRunner().invoke(mtl, ["recipe", "init", "campaign.csv", "--force"]).exit_code == 0


CELLS = st.one_of(
    st.integers(-5, 5).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8),
    st.sampled_from(["", "NA", "2024-01-01", "2024-01-01T00:00:00", "1,2", "a|b", "1700000000000", "true"]),
)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_the_table_the_recipe_loads(tmp_path_factory, data):
    """Names and values of any kind: the recipe loads, or the data are refused in words."""
    names = data.draw(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=12),
                 min_size=1, max_size=5, unique=True)
    )  # fmt: skip
    cells = [data.draw(st.lists(CELLS, min_size=1, max_size=4)) for _ in names]
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    frame = pd.DataFrame({n: random.choice(np.array(c, object), 300) for n, c in zip(names, cells)})
    frame["clicked"] = random.integers(0, 2, 300) if len(names) > 1 else np.arange(300) % 2
    folder = tmp_path_factory.mktemp("any")
    frame.to_csv(folder / "log.csv", index=False)
    try:
        found = start([str(folder)], folder / "recipe.yaml")
    except DataError as error:
        assert str(error)
        return
    assert "clicked" in found.recipe.tasks
    assert yaml.safe_load(found.text)["name"] == found.recipe.name
    assert all(any(c == (s.column or n) for n, s in found.recipe.columns.items()) for c in frame
               if c.strip() == c and c not in {u for u in found.draft.log.unread})  # fmt: skip
