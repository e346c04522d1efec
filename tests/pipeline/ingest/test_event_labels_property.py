"""Labels from events against a search event by event."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.event_labels import KINDS, SOURCE, EventLabels
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe.parts import Events
from pipeline.recipe.tasks import BinaryTask, RegressionTask

SOURCE_PART = {
    "files": "x.csv",
    "time": "at",
    "columns": {"k": "int", "name": "string", "at": "time", "kind": "int", "value": "float", "id": "int"},
}
keys = st.sampled_from([0, 0, 0, 1, None])
names = st.sampled_from(["a", "a", "a", "b", None])
# coarse, so that moments and ends of windows coincide
moments = st.sampled_from([*(s * 1_000 for s in range(-1, 9)), None])
rows_of = st.lists(st.tuples(keys, names, moments, st.integers(0, 1)), max_size=20)
events_of = st.lists(
    st.tuples(
        keys,
        names,
        moments,
        st.sampled_from([1, 1, 1, 0]),
        st.one_of(st.none(), st.floats(-9, 9)),
        st.one_of(st.none(), st.integers(0, 9)),
        st.integers(0, 1),
    ),
    max_size=20,
)


def table(columns, rows):
    """The rows as a table; each one's file is its last value, its position its place among all."""
    types = {"k": pa.int64(), "name": pa.string(), "value": pa.float64()}
    arrays = {n: pa.array([r[i] for r in rows], types.get(n, pa.int64())) for i, n in enumerate(columns)}
    arrays[FILE] = pa.array([r[-1] for r in rows], pa.int32())
    arrays[POSITION] = pa.array(range(1, len(rows) + 1), pa.int64())
    return pa.table(arrays)


def expected(task, key_of, rows, events, until, unique):
    """The same, one by one: labels, kinds of events, repeats."""
    width, open_ = int(task.events.window[:-1]) * 1000, task.events.open
    events = sorted(enumerate(events), key=lambda e: (e[1][-1], e[0]))
    seen, kept, repeats = set(), [], 0
    for _, event in events:
        identity = (event[5], *key_of(event))
        if unique and None not in identity:
            if identity in seen:
                repeats += 1
                continue
            seen.add(identity)
        kept.append(event)
    labels = []
    for row in rows:
        unknown = None in key_of(row) or row[2] is None
        if not unknown and open_ == "mask":
            unknown = until is None or row[2] + width > until
        labels.append(None if unknown else 0.0)
    kinds = dict.fromkeys(KINDS, 0)
    for event in kept:
        if event[3] != 1:
            continue
        alike = []
        if None not in key_of(event) and event[2] is not None:
            alike = [i for i, r in enumerate(rows) if key_of(r) == key_of(event) and r[2] is not None]
        earlier = [i for i in alike if rows[i][2] <= event[2]]
        if not alike:
            kinds["without_impression"] += 1
        elif not earlier:
            kinds["before_impression"] += 1
        else:
            row = max(earlier, key=lambda i: (rows[i][2], rows[i][-1], i))
            if event[2] >= rows[row][2] + width:
                kinds["after_window"] += 1
            elif labels[row] is None or (until is not None and event[2] > until):
                kinds["open_window"] += 1
            else:
                kinds["matched"] += 1
                labels[row] = 1.0 if task.kind == "binary" else labels[row] + (event[4] or 0.0)
    return labels, kinds, repeats


@settings(deadline=None, max_examples=200)
@given(
    rows_of,
    events_of,
    st.sampled_from([*(s * 1_000 for s in range(-1, 15)), None]),
    st.sampled_from(["mask", "negative"]),
    st.sampled_from([["k"], ["name"], ["k", "name"]]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_labels_are_those_of_a_search_one_by_one(rows, events, until, open_, keys, unique, random):
    source = Events(**SOURCE_PART, keys=keys, unique=["id"] if unique else [])
    of = {"source": "x", "where": "kind == 1", "open": open_}
    tasks = {
        "long": BinaryTask(kind="binary", events=of | {"window": "4s"}),
        "sum": RegressionTask(kind="regression", events=of | {"window": "2s", "value": "value"}),
    }

    def key_of(row):
        return tuple(row[0 if key == "k" else 1] for key in keys)

    shown = table(["k", "name", "shown"], rows)
    happened = table(["k", "name", "at", "kind", "value", "id"], events)
    make = EventLabels(source, tasks)
    labels, counts = make(shown, happened, "shown", until)
    for name, task in tasks.items():
        want, kinds, repeats = expected(task, key_of, rows, events, until, unique)
        assert labels[name].to_pylist() == want
        assert counts[name] == kinds
        assert counts.get(SOURCE, {"repeats": 0}) == {"repeats": repeats}

    # in whatever order rows and events come, and however they are cut into chunks
    mixed = [random.sample(range(len(t)), len(t)) for t in (shown, happened)]
    again, counts_again = make(
        shown.take(pa.array(mixed[0], pa.int64())),
        pa.concat_tables([happened.take(pa.array(mixed[1][i::3], pa.int64())) for i in range(3)]),
        "shown",
        until,
    )
    assert counts_again == counts
    for name in tasks:
        assert again[name].to_pylist() == [labels[name][i].as_py() for i in mixed[0]]


def test_a_large_partition_equals_pandas():
    """merge_asof of pandas, on keys of two columns and times with many ties."""
    import pandas as pd

    draw = np.random.default_rng(1)
    n, m, until, width = 40_000, 20_000, 900_000, 60_000
    rows = pd.DataFrame(
        {
            "k": draw.integers(0, 300, n),
            "name": draw.choice(list("abcdef"), n),
            "shown": draw.integers(0, 10**6, n),
        }
    )
    happened = pd.DataFrame(
        {
            "k": draw.integers(0, 310, m),
            "name": draw.choice(list("abcdef"), m),
            "at": draw.integers(0, 10**6, m),
            "value": draw.normal(size=m),
        }
    )
    of = {"source": "x", "window": "60s"}
    tasks = {
        "any": BinaryTask(kind="binary", events=of),
        "sum": RegressionTask(kind="regression", events=of | {"value": "value"}),
    }
    place = {FILE: pa.array(np.zeros(n, np.int32)), POSITION: pa.array(np.arange(n))}
    shown = pa.table({c: pa.array(rows[c]) for c in rows} | place)
    place = {FILE: pa.array(np.zeros(m, np.int32)), POSITION: pa.array(np.arange(m))}
    events = pa.table({c: pa.array(happened[c]) for c in happened} | place)
    source = Events(**SOURCE_PART, keys=["k", "name"])
    labels, counts = EventLabels(source, tasks)(shown, events, "shown", until)

    joined = pd.merge_asof(
        happened.sort_values("at", kind="stable"),
        rows.assign(row=np.arange(n), seen=rows["shown"]).sort_values("shown", kind="stable"),
        left_on="at",
        right_on="shown",
        by=["k", "name"],
    )
    inside = joined[(joined["at"] - joined["seen"]) < width]
    known = rows["shown"] + width <= until
    sums = inside.groupby("row")["value"].sum().reindex(range(n), fill_value=0.0)
    np.testing.assert_array_equal(labels["any"].is_valid().to_numpy(zero_copy_only=False), known)
    np.testing.assert_allclose(labels["sum"].to_numpy(zero_copy_only=False)[known], sums[known], atol=1e-12)
    assert counts["any"]["matched"] == known[inside["row"].astype(int)].sum()
    assert sum(counts["any"].values()) == m
