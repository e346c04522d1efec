import datetime as dt
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.demo import generate
from pipeline.demo.impressions import DAY_MS
from pipeline.demo.labels import draw_labels
from pipeline.demo.orders import (
    COLLECTED_UNTIL_MS,
    HOUR_MS,
    SEARCH_REQUESTS,
    WINDOW_MS,
    delays,
    share_followed,
)
from pipeline.demo.world import build_world

ROWS, SEED = 60_000, 5
KEYS = ["request_id", "item_id"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "world"
    return out, generate(out, ROWS, SEED)


@pytest.fixture(scope="module")
def log(made):
    return pq.read_table(made[0] / "impressions").to_pandas()


@pytest.fixture(scope="module")
def orders(made):
    return pq.read_table(made[0] / "orders").to_pandas()


@pytest.fixture(scope="module")
def drawn():
    """Whether each impression of the world was bought, arrived or not."""
    world = build_world(ROWS, SEED)
    bought = []
    for day in world.days:
        shown = world.block(day.index, 0, len(day.sizes))
        labels = draw_labels(shown, world.propensities(shown))
        bought.append(labels.click & labels.purchase)
    return np.concatenate(bought)


def test_delays_follow_their_closed_form():
    luck = (np.arange(200_000) + 0.5) / 200_000
    found = delays(luck)
    assert (np.diff(found) >= 0).all() and 0 <= found[0] and found[-1] < WINDOW_MS == 4 * DAY_MS
    np.testing.assert_allclose(share_followed(found), luck, atol=1e-6)
    assert np.median(found) == pytest.approx(24 * HOUR_MS, rel=0.001)
    by_hand = (1 - math.exp(-12 / 39.4)) / (1 - math.exp(-96 / 39.4))
    assert share_followed(np.array([12 * HOUR_MS]))[0] == pytest.approx(by_hand, abs=1e-9)
    np.testing.assert_array_equal(
        share_followed(np.array([-5, 0, WINDOW_MS, 9 * WINDOW_MS])), [0.0, 0.0, 1.0, 1.0]
    )
    assert delays(np.array([0.0, np.nextafter(1, 0)])).tolist() == [0, WINDOW_MS - 1]


def test_purchases_are_those_that_the_propensities_drew(made, log, orders, drawn):
    events = orders.drop_duplicates("event_id")
    bought = events[(events["event"] == "purchase") & (events["request_id"] < SEARCH_REQUESTS)]
    found = log.merge(bought, on=KEYS, how="left", suffixes=("", "_order"), validate="one_to_one")
    arrived = found["event_id"].notna().to_numpy()
    assert not (arrived & ~drawn).any()
    assert (drawn & ~arrived).sum() <= made[1].orders["late"]
    assert arrived.sum() == len(bought) == made[1].orders["purchase"]
    assert (found["click"][arrived] == 1).all()
    assert (found["user_id"][arrived] == found["user_id_order"][arrived]).all()
    wait = (found["timestamp_order"] - found["timestamp"])[arrived]
    assert wait.between(0, WINDOW_MS - 1).all()
    # the distribution of delays, within four standard deviations at each of ten ages
    for age in np.linspace(6, 90, 10) * HOUR_MS:
        share = share_followed(np.array([age]))[0]
        assert (wait <= age).mean() == pytest.approx(share, abs=4 * (share * (1 - share) / len(wait)) ** 0.5)


def test_what_happened_later_is_not_there(orders, made, log, drawn):
    assert orders["timestamp"].max() <= COLLECTED_UNTIL_MS
    until = dt.datetime.fromisoformat(made[1].orders_until)
    assert until.timestamp() * 1000 == COLLECTED_UNTIL_MS
    open_ = log["timestamp"] + WINDOW_MS > COLLECTED_UNTIL_MS
    last = log["timestamp"].max() // HOUR_MS
    assert set(log["timestamp"][open_] // HOUR_MS) == {last - 2, last - 1, last}


def test_carts_searches_and_repeats(orders, log, made):
    counts, events = made[1].orders, orders.drop_duplicates("event_id")
    assert len(orders) - len(events) == counts["repeats"] > 0
    assert len(orders.drop_duplicates()) == len(events)  # delivered again just as they were
    carts = events[events["event"] == "cart"]
    assert len(carts) == counts["cart"] > 0 and carts["amount"].isna().all()
    clicked = log[log["click"] == 1]
    assert len(carts.merge(clicked, on=KEYS)) == len(carts)
    bought = events[events["event"] == "purchase"]
    pairs = carts.merge(bought, on=KEYS, suffixes=("", "_order"))
    assert (pairs["timestamp"] <= pairs["timestamp_order"]).all()
    assert len(pairs) / counts["purchase"] == pytest.approx(0.8, abs=0.05)
    searched = bought[bought["request_id"] >= SEARCH_REQUESTS]
    assert len(searched) == counts["search"] > 0
    assert set(orders["event"]) == {"cart", "purchase"}
    assert len(bought) == counts["purchase"] + counts["search"]


def test_amounts_are_whole_pieces_of_the_price(orders, made):
    prices = pd.read_csv(made[0] / "items.csv").set_index("item_id")["price"]
    bought = orders[orders["event"] == "purchase"]
    pieces = (bought["amount"] / bought["item_id"].map(prices)).dropna()
    assert set(pieces.round(6)) == {1.0, 2.0, 3.0}


def test_a_file_a_day_of_the_event(made):
    files = sorted((made[0] / "orders").iterdir())
    assert [f.suffix for f in files] == [".parquet"] * len(files)
    assert len(files) == 14  # ten days and four more
    for file in files:
        days = {
            dt.datetime.fromtimestamp(ms / 1000, dt.UTC).date()
            for ms in pq.read_table(file)["timestamp"].to_pylist()
        }
        assert {str(day) for day in days} == {file.stem}
