"""History: by hand, against a search row by row, and what must not change it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.ingest.errors import DataError
from pipeline.ingest.history import History
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.parts import Earlier

TYPES = {"user": "int", "item": "string", "day": "int", "click": "int", "shown": "int"}
SCHEMA = {
    "user": pa.int64(),
    "item": pa.string(),
    "click": pa.int64(),
    "shown": pa.int64(),
    "time": pa.int64(),
    FILE: pa.int32(),
    POSITION: pa.int64(),
}


def specs(**given):
    adapter = TypeAdapter(Earlier)
    return {name: adapter.validate_python(spec) for name, spec in given.items()}


def table(rows):
    """Rows (user, item, click, shown, time), read in this order."""
    rows = [dict(zip(SCHEMA, (*row, 0, i))) for i, row in enumerate(rows)]
    return pa.Table.from_pylist(rows, pa.schema(SCHEMA))


def lists(found):
    return {name: column.to_pylist() for name, column in found.items()}


def test_by_hand():
    rows = table(
        [
            # user, item, click, shown, time
            (1, "a", 1, 0, 1_000),
            (1, "b", 0, 0, 2_000),
            (2, "a", 1, 0, 2_000),
            (1, "c", 1, 0, 2_000),  # does not see b, of the same millisecond
            (1, None, None, 0, 3_000),  # is counted, but is no item and no click
            (None, "a", 1, 0, 4_000),  # has no user
            (1, "a", 1, 0, None),  # has no time
            (1, "a", 0, 0, 11_000),
        ]
    )
    found = History(
        specs(
            items={"kind": "last", "by": "user", "of": "item", "n": 3},
            views={"kind": "count", "by": "user"},
            rate={"kind": "rate", "by": "user", "of": "click == 1"},
            known={"kind": "rate", "by": "user", "of": "click == 1", "where": "not is_missing(click)"},
            recent={"kind": "count", "by": "user", "window": "9s"},
            late={"kind": "last", "by": "user", "of": "item", "n": 9, "delay": "9s"},
            pair={"kind": "count", "by": ["user", "item"]},
            of_item={"kind": "last", "by": "item", "of": "user", "n": 2, "where": "click == 1"},
        ),
        TYPES,
    )(rows, "time")
    assert lists(found) == {
        "items": [[], ["a"], [], ["a"], ["a", "b", "c"], [], [], ["a", "b", "c"]],
        "views": [0, 1, 0, 1, 3, 0, 0, 4],
        "rate": [None, 1.0, None, 1.0, 2 / 3, None, None, 2 / 4],
        "known": [None, 1.0, None, 1.0, 2 / 3, None, None, 2 / 3],
        # rows of 2,000 are exactly 9 s old at 11,000: still within the window, and no longer too young
        "recent": [0, 1, 0, 1, 3, 0, 0, 3],
        "late": [[], [], [], [], [], [], [], ["a", "b", "c"]],
        "pair": [0, 0, 0, 0, 0, 0, 0, 1],
        # the click of a row without a user is no item's user
        "of_item": [[], [], [1], [], [], [1, 2], [], [1, 2]],
    }
    assert {name: str(column.type) for name, column in found.items()} == {
        "items": "list<item: string>",
        "views": "int64",
        "rate": "double",
        "known": "double",
        "recent": "int64",
        "late": "list<item: string>",
        "pair": "int64",
        "of_item": "list<item: int64>",
    }


def test_current_by_hand():
    rows = table([(2, "a", 1, 0, 1_000), (1, "b", 0, 0, 2_000), (2, "b", 0, 0, 5_000), (3, "a", 1, 0, 6_000)])
    history = History(
        specs(
            items={"kind": "last", "by": "user", "of": "item", "n": 3},
            recent={"kind": "count", "by": "user", "window": "3s"},
            rate={"kind": "rate", "by": ["item", "user"], "of": "click == 1"},
            views={"kind": "count", "by": ["user", "item"]},
        ),
        TYPES,
    )
    assert history.columns == {"user", "item", "click"}
    found = history.current(rows, "time", 6_000)
    assert {by: part.to_pylist() for by, part in found.items()} == {
        ("user",): [
            {"user": 1, "items": ["b"], "recent": 0},
            {"user": 2, "items": ["a", "b"], "recent": 1},
        ],
        # `by` of both names the same columns; keys are in their order
        ("item", "user"): [
            {"item": "a", "user": 2, "rate": 1.0, "views": 1},
            {"item": "b", "user": 1, "rate": 0.0, "views": 1},
            {"item": "b", "user": 2, "rate": 0.0, "views": 1},
        ],
    }
    nothing = history.current(rows.slice(0, 0), "time", 6_000)
    assert [(by, len(part), part.schema) for by, part in nothing.items()] == [
        (by, 0, part.schema) for by, part in found.items()
    ]


def test_lists_beyond_what_arrow_holds_are_refused():
    rows = 700_000
    long = pa.table(
        {
            "user": np.ones(rows, int),
            "item": pa.array(["x"]).take(pa.array(np.zeros(rows, int))),
            "time": np.arange(rows),
            FILE: np.zeros(rows, np.int32),
            POSITION: np.arange(rows),
        }
    )
    history = History(specs(items={"kind": "last", "by": "user", "of": "item", "n": 10_000}), TYPES)
    with pytest.raises(DataError, match=r"history.items: the lists of 700,000 rows .* lower its `n`"):
        history(long, "time")


SPECS = specs(
    items={"kind": "last", "by": "user", "of": "item", "n": 2},
    clicked={"kind": "last", "by": "user", "of": "item", "n": 3, "where": "click == 1", "window": "8s"},
    users={"kind": "last", "by": "item", "of": "user", "n": 4, "delay": "2s"},
    views={"kind": "count", "by": "user", "window": "5s", "delay": "1s"},
    pair={"kind": "count", "by": ["user", "item"], "where": "click == 1 or shown > 1"},
    rate={"kind": "rate", "by": "item", "of": "click == 1"},
    windowed={
        "kind": "rate",
        "by": ["item", "user"],
        "of": "click == shown",
        "window": "6s",
        "where": "shown > 0",
    },
    never={"kind": "count", "by": "user", "window": "1s", "delay": "3s"},
)
HISTORY = History(SPECS, TYPES)


def is_true(name, row):
    """`where` and `of` of `SPECS`, written in Python; a comparison with a missing number is false."""
    user, item, click, shown, time = row
    return {
        ("clicked", "where"): click == 1,
        ("pair", "where"): click == 1 or (shown is not None and shown > 1),
        ("rate", "of"): click == 1,
        ("windowed", "of"): click is not None and click == shown,
        ("windowed", "where"): shown is not None and shown > 0,
    }[name]


def brute(rows, asking, at):
    """What a row of these values at a time sees, by a search through all rows in the order of reading."""
    found = {}
    names = ("user", "item", "click", "shown", "time")
    for name, spec in SPECS.items():
        key = [asking[names.index(column)] for column in spec.by]
        seen = []
        for row in sorted((r for r in rows if r[4] is not None), key=lambda r: r[4]):
            if at is None or None in key or key != [row[names.index(column)] for column in spec.by]:
                continue
            age = at - row[4]
            young = age <= 0 or age < milliseconds(spec.delay)
            old = spec.window is not None and age > milliseconds(spec.window)
            if not young and not old and (spec.where is None or is_true((name, "where"), row)):
                seen.append(row)
        if spec.kind == "last":
            values = [row[names.index(spec.of)] for row in seen]
            found[name] = [v for v in values if v is not None][-spec.n :]
        elif spec.kind == "count":
            found[name] = len(seen)
        else:
            hits = [is_true((name, "of"), row) for row in seen]
            found[name] = sum(hits) / len(hits) if hits else None
    return found


row_ = st.tuples(
    st.sampled_from([1, 1, 1, 2, -7, None]),
    st.sampled_from(["a", "a", "b", "ä", None]),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([None, 0, 1, 2]),
    # whole seconds, so that ages meet the ends of windows and delays, and single milliseconds beside
    st.builds(
        lambda second, ms: None if second is None else second * 1000 + ms,
        st.sampled_from([None, *range(8)]),
        st.sampled_from([0, 0, 0, 1, -1]),
    ),
)
# left to itself, hypothesis draws short tables, where rows seldom share a key and a time
rows_ = st.one_of(st.lists(row_, max_size=5), st.lists(row_, min_size=15, max_size=30))


def one(found, i):
    return {name: column[i].as_py() for name, column in found.items()}


@settings(deadline=None)
@given(rows_)
def test_equals_a_search_row_by_row(rows):
    found = HISTORY(table(rows), "time")
    for i, row in enumerate(rows):
        assert one(found, i) == brute(rows, row, row[4])


@settings(deadline=None)
@given(rows_.filter(lambda rows: any(row[4] is not None for row in rows)), st.data())
def test_deleting_later_rows_changes_nothing(rows, data):
    whole = table(rows)
    found = HISTORY(whole, "time")
    i = data.draw(st.sampled_from([i for i, row in enumerate(rows) if row[4] is not None]))
    at = rows[i][4]
    later = {j for j, row in enumerate(rows) if j != i and (row[4] is None or row[4] >= at)}
    some = data.draw(st.sets(st.sampled_from(sorted(later)))) if later else set()
    for gone in (later, some):
        kept = [j for j in range(len(rows)) if j not in gone]
        assert one(HISTORY(whole.take(kept), "time"), kept.index(i)) == one(found, i)


def test_rows_of_equal_time_are_in_the_order_of_their_places():
    rows = pa.table(
        {
            "user": [1, 1, 1, 1, 1],
            "item": ["b", "e", "a", "d", "c"],
            "time": [5, 9, 5, 5, 5],
            FILE: pa.array([0, 0, 0, 2, 1], pa.int32()),
            POSITION: [7, 0, 3, 1, 8],
        }
    )
    history = History(specs(items={"kind": "last", "by": "user", "of": "item", "n": 3}), TYPES)
    assert history(rows, "time")["items"].to_pylist() == [[], ["b", "c", "d"], [], [], []]


@settings(deadline=None)
@given(rows_, st.integers(0, 2**32))
def test_the_order_of_rows_does_not_matter(rows, seed):
    whole, order = table(rows), pa.array(np.random.default_rng(seed).permutation(len(rows)))
    found = HISTORY(whole, "time")
    moved = HISTORY(whole.take(order), "time")
    # in several chunks too, as partitions arrive
    chunked = HISTORY(pa.concat_tables([whole.slice(0, 3), whole.slice(3)]), "time")
    for name, column in found.items():
        assert moved[name].to_pylist() == column.take(order).to_pylist()
        assert chunked[name] == column


@settings(deadline=None)
@given(rows_, st.integers(-1, 12))
def test_current_values_are_those_of_a_row_at_that_time(rows, second):
    at = second * 1000
    asking = [(user, item) for user in (1, 2, -7, 99) for item in ("a", "b", "ä", "z")]
    # rows of the same millisecond do not see each other, so that all can ask at once
    asked = HISTORY(table(rows + [(*key, None, None, at) for key in asking]), "time")
    for by, part in HISTORY.current(table(rows), "time", at).items():
        stored = {tuple(row[n] for n in by): row for row in part.to_pylist()}
        assert list(stored) == sorted(stored) and len(stored) == len(part)
        names = [name for name, spec in SPECS.items() if set(spec.by) == set(by)]
        assert part.column_names == [*by, *names]
        absent = {n: {"last": [], "count": 0, "rate": None}[SPECS[n].kind] for n in names}
        for i, (user, item) in enumerate(asking):
            key = tuple({"user": user, "item": item}[n] for n in by)
            values = one(asked, len(rows) + i)
            assert {n: values[n] for n in names} == {n: stored.get(key, absent)[n] for n in names}
            assert (key in stored) == any(values[n] != absent[n] for n in names)


def test_real_logs_equal_a_search_row_by_row(shared_data):
    """A random sample of KuaiRand's rows, each against a selection from the whole log by pandas."""
    logs = shared_data / "kuairand" / "logs"
    if not logs.is_dir():
        pytest.skip(f"KuaiRand is not at {logs}")
    columns = ["user_id", "video_id", "tab", "is_click", "time_ms"]
    parts = [pq.read_table(path, columns=columns) for path in sorted(logs.glob("*.parquet"))]
    places = [
        part.append_column(FILE, pa.array(np.full(len(part), i, np.int32))).append_column(
            POSITION, pa.array(np.arange(len(part)))
        )
        for i, part in enumerate(parts)
    ]
    log = pa.concat_tables(places)
    log = log.take(pa.array(np.random.default_rng(5).permutation(len(log))))
    history = History(
        specs(
            watched={"kind": "last", "by": "user_id", "of": "video_id", "n": 5, "where": "is_click == 1"},
            day={"kind": "count", "by": "user_id", "window": "1d"},
            rate={"kind": "rate", "by": "video_id", "of": "is_click == 1", "window": "3d", "delay": "1h"},
            tab={"kind": "rate", "by": ["user_id", "tab"], "of": "is_click == 1"},
        ),
        dict.fromkeys(columns, "int"),
    )
    found = history(log, "time_ms")
    frame = log.to_pandas().sort_values([FILE, POSITION])
    hour = 3_600_000
    for i in np.random.default_rng(6).choice(len(log), 150, replace=False).tolist():
        row = {name: log[name][i].as_py() for name in columns}
        age = row["time_ms"] - frame["time_ms"]
        user, video = frame["user_id"] == row["user_id"], frame["video_id"] == row["video_id"]
        clicked = frame[user & (age > 0) & (frame["is_click"] == 1)].sort_values("time_ms", kind="stable")
        of_video = frame[video & (age >= hour) & (age <= 72 * hour)]["is_click"]
        of_tab = frame[user & (frame["tab"] == row["tab"]) & (age > 0)]["is_click"]
        assert one(found, i) == {
            "watched": clicked["video_id"].tolist()[-5:],
            "day": int((user & (age > 0) & (age <= 24 * hour)).sum()),
            "rate": pytest.approx(of_video.mean()) if len(of_video) else None,
            "tab": pytest.approx(of_tab.mean()) if len(of_tab) else None,
        }
