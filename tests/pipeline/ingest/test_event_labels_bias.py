"""What a row whose window is open does to labels: the demo's purchases against the chances that drew them."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo import generate
from pipeline.demo.impressions import DAY_MS, DAYS, MIDNIGHT_MS
from pipeline.demo.orders import share_followed
from pipeline.ingest.event_labels import EventLabels
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe import load

END = MIDNIGHT_MS + DAYS * DAY_MS  # of the log: more purchases will follow


def placed(table):
    return table.append_column(FILE, pa.array(np.zeros(len(table), np.int32))).append_column(
        POSITION, pa.array(np.arange(1, len(table) + 1))
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The clicked impressions, their true chances of a purchase, and all events."""
    out = tmp_path_factory.mktemp("bias") / "world"
    summary = generate(out, 60_000, 5)
    log = pq.read_table(out / "impressions")
    clicked = pa.array(log["click"].to_numpy() == 1)
    chance = pq.read_table(out / "propensities").filter(clicked)["p_purchase"].to_numpy().astype(float)
    return placed(log).filter(clicked), chance, placed(pq.read_table(out / "orders")), summary


@pytest.fixture(scope="module")
def labels(root, world):
    """Makes the recipe's labels, with open windows as masks or as negatives: float, NaN where masked."""
    recipe = load(root / "data/demo/recipe.yaml")
    source, task = recipe.sources.events["orders"], recipe.tasks["purchase"]
    rows, _, events, _ = world

    def make(open_, until):
        switched = task.model_copy(update={"events": task.events.model_copy(update={"open": open_})})
        found, counts = EventLabels(source, {"purchase": switched})(rows, events, "timestamp", until)
        return found["purchase"].to_numpy(zero_copy_only=False), counts["purchase"]

    return make


def z_score(outcome, chance):
    return (outcome.sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum())


def test_masked_labels_have_the_true_rate_and_negative_ones_that_of_what_had_arrived(world, labels):
    rows, chance, _, _ = world
    age = END - rows["timestamp"].to_numpy()
    masked, _ = labels("mask", END)
    known = ~np.isnan(masked)
    np.testing.assert_array_equal(known, age >= 4 * DAY_MS)
    assert abs(z_score(masked[known], chance[known])) < 4

    negative, _ = labels("negative", END)
    assert not np.isnan(negative).any()
    so_far = chance * share_followed(age)  # in closed form
    assert abs(z_score(negative, so_far)) < 4
    # a mean delay of 39.4 − 96 / (e^(96/39.4) − 1) = 30.2 hours, in ten days of nearly even traffic
    assert so_far.sum() / chance.sum() - 1 == pytest.approx(-30.2 / 240, abs=0.01)
    assert z_score(negative, chance) < -6
    # of the last day's purchases hardly a quarter is there
    recent = age < DAY_MS
    assert negative[recent].sum() < 0.35 * chance[recent].sum()
    np.testing.assert_array_equal(negative[known], masked[known])


def test_once_all_events_are_there_the_switch_changes_nothing_but_the_last_hours(world, labels, root):
    rows, chance, _, summary = world
    recipe = load(root / "data/demo/recipe.yaml")
    written = dt.datetime.fromisoformat(recipe.sources.events["orders"].complete_until)
    until = dt.datetime.fromisoformat(summary.orders_until)
    assert written.replace(tzinfo=dt.UTC) == until  # the recipe says what the world is
    masked, counts = labels("mask", int(until.timestamp() * 1000))
    known = ~np.isnan(masked)
    assert 0.95 < known.mean() < 1
    assert abs(z_score(masked[known], chance[known])) < 4
    assert counts["matched"] + counts["open_window"] == summary.orders["purchase"]
    assert counts["without_impression"] == summary.orders["search"]
    assert counts["after_window"] == counts["before_impression"] == 0
