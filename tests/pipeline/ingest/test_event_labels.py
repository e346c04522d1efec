"""Labels from events by hand."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.ingest.event_labels import SOURCE, EventLabels
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe.parts import Events
from pipeline.recipe.tasks import BinaryTask, RegressionTask

HOUR = 3_600_000
SALES = Events(
    files="sales.csv",
    keys=["user", "item"],
    time="at",
    columns={
        "user": "int",
        "item": "string",
        "at": "time",
        "kind": "string",
        "amount": "float",
        "number": "int",
        "not_needed": "int",
    },
)
BUY = BinaryTask(kind="binary", events={"source": "sales", "where": "kind == 'buy'", "window": "24h"})
SPEND = RegressionTask(
    kind="regression",
    events={"source": "sales", "where": "kind == 'buy'", "value": "amount * 2", "window": "24h"},
)
CARTS = RegressionTask(
    kind="regression", events={"source": "sales", "where": "kind == 'cart'", "window": "1h"}
)


def negative(task):
    return task.model_copy(update={"events": task.events.model_copy(update={"open": "negative"})})


def impressions(*rows):
    """Rows of (user, item, hour)."""
    return pa.table(
        {
            "user": pa.array([r[0] for r in rows], pa.int64()),
            "item": pa.array([r[1] for r in rows], pa.string()),
            "shown": pa.array([None if r[2] is None else int(r[2] * HOUR) for r in rows], pa.int64()),
            FILE: pa.array(np.zeros(len(rows), np.int32)),
            POSITION: pa.array(np.arange(1, len(rows) + 1)),
        }
    )


def happened(*rows):
    """Events of (user, item, hour, kind, amount, number)."""
    rows = [(*r, *(None,) * (6 - len(r))) for r in rows]
    return pa.table(
        {
            "user": pa.array([r[0] for r in rows], pa.int64()),
            "item": pa.array([r[1] for r in rows], pa.string()),
            "at": pa.array([None if r[2] is None else int(r[2] * HOUR) for r in rows], pa.int64()),
            "kind": pa.array([r[3] for r in rows], pa.string()),
            "amount": pa.array([r[4] for r in rows], pa.float64()),
            "number": pa.array([r[5] for r in rows], pa.int64()),
            FILE: pa.array(np.zeros(len(rows), np.int32)),
            POSITION: pa.array(np.arange(1, len(rows) + 1)),
        }
    )


def counted(**kinds):
    names = ("matched", "open_window", "after_window", "before_impression", "without_impression")
    return {name: kinds.get(name, 0) for name in names}


def label(task, rows, events, until, source=SALES):
    labels, counts = EventLabels(source, {"t": task})(rows, events, "shown", until)
    assert labels["t"].type == pa.float64()
    return labels["t"].to_pylist(), counts["t"]


def test_an_event_goes_to_the_newest_impression_not_later_than_itself():
    rows = impressions((1, "a", 0), (1, "a", 5), (1, "b", 0), (2, "a", 0), (1, "a", 8))
    events = happened(
        (1, "a", 7, "buy"),  # follows the impression of hour 5, not those of hours 0 and 8
        (1, "b", -1, "buy"),  # before
        (3, "a", 9, "buy"),  # of another user
        (2, "a", 24, "buy"),  # exactly as late as the window is long
        (2, "a", 3, "cart"),  # not meant
        (2, None, 3, "buy"),
    )
    found, counts = label(BUY, rows, events, 100 * HOUR)
    assert found == [0, 1, 0, 0, 0]
    assert counts == counted(matched=1, after_window=1, before_impression=1, without_impression=2)


def test_an_event_at_the_very_moment_follows_and_of_impressions_at_one_moment_the_last_by_place():
    rows = impressions((1, "a", 1), (1, "a", 1), (1, "a", 1))
    rows = rows.set_column(4, POSITION, pa.array([5, 9, 7]))
    assert label(BUY, rows, happened((1, "a", 1, "buy")), 100 * HOUR)[0] == [0, 1, 0]
    later_file = rows.set_column(3, FILE, pa.array([1, 0, 0], pa.int32()))
    assert label(BUY, later_file, happened((1, "a", 1, "buy")), 100 * HOUR)[0] == [1, 0, 0]


def test_an_open_window_has_no_label_or_that_of_the_moment():
    # complete until hour 30: windows of 24 h from hours 6 on close at 30 or later
    rows = impressions((1, "a", 0), (1, "b", 6), (1, "c", 6.001), (1, "d", 29), (1, "e", 29), (1, "f", 31))
    events = happened((1, "a", 1, "buy"), (1, "b", 29.9, "buy"), (1, "d", 30, "buy"), (1, "e", 30.001, "buy"))
    masked, counts = label(BUY, rows, events, 30 * HOUR)
    assert masked == [1, 1, None, None, None, None]
    assert counts == counted(matched=2, open_window=2)
    as_negative, counts = label(negative(BUY), rows, events, 30 * HOUR)
    assert as_negative == [1, 1, 0, 1, 0, 0]  # what was known at hour 30
    assert counts == counted(matched=3, open_window=1)


def test_a_window_is_open_for_the_task_that_has_it_alone():
    labels, counts = EventLabels(SALES, {"buy": BUY, "carts": CARTS})(
        impressions((1, "a", 9)), happened((1, "a", 9.5, "cart"), (1, "a", 9.5, "buy")), "shown", 11 * HOUR
    )
    assert labels["buy"].to_pylist() == [None] and labels["carts"].to_pylist() == [1]
    assert counts == {"buy": counted(open_window=1), "carts": counted(matched=1)}


def test_a_quantity_is_the_sum_or_the_count():
    rows = impressions((1, "a", 0), (1, "b", 0))
    events = happened(
        (1, "a", 1, "buy", 2.5), (1, "a", 2, "buy", None), (1, "a", 3, "buy", -1.0),
        (1, "b", 0.5, "cart", 9.0), (1, "b", 0.6, "cart"),
    )  # fmt: skip
    assert label(SPEND, rows, events, 100 * HOUR)[0] == [3.0, 0.0]
    assert label(CARTS, rows, events, 100 * HOUR)[0] == [0.0, 2.0]


def test_no_events_at_all():
    rows = impressions((1, "a", 0), (1, "b", 90))
    assert label(BUY, rows, None, 100 * HOUR) == ([0, None], counted())
    # and none in the whole source: nothing is known to have arrived
    assert label(BUY, rows, None, None) == ([None, None], counted())
    assert label(negative(BUY), rows, None, None) == ([0, 0], counted())


def test_no_impressions():
    rows = impressions((1, "a", 0)).slice(0, 0)
    assert label(BUY, rows, happened((1, "a", 1, "buy")), 9) == ([], counted(without_impression=1))


@pytest.mark.parametrize("task", [BUY, negative(BUY)])
def test_without_a_key_or_a_time_nothing_is_known(task):
    rows = impressions((None, "a", 0), (1, None, 0), (1, "a", None), (1, "b", 0))
    events = happened((1, "a", 1, "buy"), (1, None, 1, "buy"), (None, "a", 1, "buy"), (1, "b", None, "buy"))
    found, counts = label(task, rows, events, 100 * HOUR)
    assert found == [None, None, None, 0]
    assert counts == counted(without_impression=4)


def test_repeats_are_dropped_and_the_first_by_place_is_kept():
    source = SALES.model_copy(update={"unique": ["number"]})
    rows = impressions((1, "a", 0), (1, "b", 0))
    events = happened(
        (1, "a", 1, "buy", 5.0, 7),
        (1, "a", 1, "buy", 3.0, 7),
        (1, "a", 1, "cart", 3.0, 7),
        (1, "b", 1, "buy", 1.0, 7),  # of other keys: another event
        (1, "b", 1, "buy", 1.0, None),
        (1, "b", 1, "buy", 1.0, None),
    )
    for order in (range(6), reversed(range(6))):
        labels, counts = EventLabels(source, {"t": SPEND})(
            rows, events.take(pa.array(list(order))), "shown", 100 * HOUR
        )
        assert labels["t"].to_pylist() == [10.0, 6.0]
        assert counts == {SOURCE: {"repeats": 2}, "t": counted(matched=4)}


def test_the_columns_needed():
    source = SALES.model_copy(update={"unique": ["number"]})
    assert EventLabels(SALES, {"t": BUY}).columns == ["user", "item", "at", "kind"]
    assert EventLabels(source, {"t": SPEND}).columns == ["user", "item", "at", "kind", "amount", "number"]


def test_whole_numbers_beyond_2_53_and_times_at_the_ends_of_int64():
    big = 2**53
    rows = pa.table(
        {
            "user": pa.array([big, big + 1, None, 5], pa.int64()),
            "item": ["a", "a", "a", "a"],
            "shown": pa.array([0, 0, 0, -(2**63)], pa.int64()),
            FILE: pa.array([0, 0, 0, 0], pa.int32()),
            POSITION: [1, 2, 3, 4],
        }
    )
    events = happened((big + 1, "a", 1, "buy"), (5, "a", 1, "buy"))
    events = events.set_column(2, "at", pa.array([HOUR, 2**63 - 1]))
    found, counts = label(BUY, rows, events, 2**63 - 1)
    assert found == [0, 1, None, 0]
    assert counts == counted(matched=1, after_window=1)
