"""Catalogs joined by key, event labels, history and downsampling in a whole ingestion, against pandas and
against the same recipe done another way."""

import json

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.errors import DataError
from pipeline.ingest.run import ingest

START = 1_700_000_000_000
HOUR = 3_600_000
TIME = {"type": "time", "unit": "ms"}


def pipeline(mode="in_memory"):
    return beam.Pipeline(
        options=PipelineOptions(
            ["--runner=DirectRunner", f"--direct_running_mode={mode}", "--direct_num_workers=2"]
        )
    )


@pytest.fixture(scope="module")
def world():
    """A log, items whose colour changes, users, and orders that come late."""
    draw = np.random.default_rng(3)
    rows = 4000
    log = pd.DataFrame(
        {
            "user": draw.integers(0, 60, rows),
            "item": draw.choice(list("abcdefgh"), rows),
            "at": START + draw.integers(0, 10 * 24, rows) * HOUR,
            "price": np.round(draw.exponential(10, rows), 3),
            "clicked": draw.integers(0, 2, rows),
        }
    )
    log = pd.concat([log, log.sample(200, random_state=1)], ignore_index=True)
    items = pd.DataFrame(
        {
            "item": np.repeat(list("abcdefg"), 3),
            "since": START + np.tile([0, 80, 160], 7) * HOUR,
            "colour": draw.choice(["red", "blue", "green"], 21),
        }
    )
    users = pd.DataFrame({"user": np.arange(50), "age": draw.integers(18, 80, 50)})
    bought = log.drop_duplicates(["user", "item", "at"]).sample(900, random_state=2)
    orders = pd.DataFrame(
        {
            "user": bought["user"],
            "item": bought["item"],
            "bought_at": bought["at"] + draw.integers(0, 72 * HOUR, len(bought)),
            "what": draw.choice(["order", "cart"], len(bought)),
            "amount": np.round(draw.exponential(20, len(bought)), 2),
        }
    )
    collected = orders["bought_at"] < START + 10 * 24 * HOUR
    return log, items, users, orders[collected]


def write(world, folder):
    folder.mkdir(exist_ok=True)
    for name, frame in zip(("log", "items", "users", "orders"), world):
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}.parquet")
    return folder


def catalogs(join, **users):
    return {
        "items": {
            "files": "items.parquet",
            "key": "item",
            "time": "since",
            "join": join,
            "columns": {"item": "string", "since": TIME, "colour": "string"},
        },
        "users": {
            "files": "users.parquet",
            "key": "user",
            "join": join,
            "columns": {"user": "int", "age": "int"},
            **users,
        },
    }


ORDERS = {
    "orders": {
        "files": "orders.parquet",
        "keys": ["user", "item"],
        "time": "bought_at",
        "columns": {"user": "int", "item": "string", "bought_at": TIME, "what": "string", "amount": "float"},
    }
}
TASKS = {
    "click": {"kind": "binary", "label": "clicked"},
    "order": {"kind": "binary", "events": {"source": "orders", "where": "what == 'order'", "window": "48h"}},
    "spend": {
        "kind": "regression",
        "events": {"source": "orders", "window": "48h", "value": "amount"},
        "where": "order == 1",
    },
}
HISTORY = {
    "recent": {"kind": "last", "by": "user", "of": "item", "n": 3, "where": "clicked == 1"},
    "rate": {"kind": "rate", "by": "item", "of": "clicked == 1", "window": "2d"},
}
LOG = {"files": "log.parquet", "unique": ["user", "item", "at"]}


def flat(examples, recipe, out):
    return {r["row/id"][0]: r for split in examples(recipe, out).values() for r in split}


@pytest.mark.parametrize("shards", [1, 4])
def test_a_catalog_joined_by_key_is_joined_as_in_memory(tmp_path, shop, run_stages, examples, world, shards):
    folder = write(world, tmp_path / "in")
    found, counted = [], []
    for join in ("in_memory", "by_key"):
        recipe = shop(sources={"log": LOG, "catalogs": catalogs(join)})
        counts = run_stages(recipe, folder, tmp_path / join, shards=shards)
        counts.check()
        found.append(flat(examples, recipe, tmp_path / join))
        counted.append((counts.written, counts.dropped, counts.known))
    assert found[0] == found[1] and len(found[0]) > 3000 and counted[0] == counted[1]


def test_rows_that_turn_out_dead_late_keep_their_raw_form(tmp_path, shop, world):
    folder = write(world, tmp_path / "in")
    letters, counted = [], []
    for join in ("in_memory", "by_key"):
        recipe = shop(sources={"log": LOG, "catalogs": catalogs(join, unmatched="dead")})
        out = tmp_path / join
        counts = ingest(recipe, folder, out, pipeline())
        lines = [json.loads(line) for line in (out / "dead_letters.jsonl").read_text().splitlines()]
        letters.append(sorted(lines, key=lambda letter: letter["position"]))
        counted.append(counts.dead)
    gone = world[0][world[0]["user"] >= 50]
    assert counted == 2 * [{"users: no row": len(gone)}] and letters[0] == letters[1]
    assert [letter["position"] for letter in letters[1]] == (gone.index + 1).tolist()
    assert letters[1][0]["row"]["user"] >= 50 and letters[1][0]["source"] == "log"


@pytest.mark.parametrize("shards", [1, 4])
def test_dead_rows_are_the_same_ones_however_catalogs_are_joined(
    tmp_path, shop, run_stages, examples, shards
):
    """They are neither a repeat's first nor in a history; also where weight and split are a catalog's."""
    draw = np.random.default_rng(8)
    log = pd.DataFrame(
        {
            "user": draw.integers(0, 40, 900),
            "item": draw.choice(list("abcdefgh"), 900),
            "at": START + draw.integers(0, 30, 900) * HOUR,
            "price": 1.0,
            "clicked": draw.integers(0, 2, 900),
        }
    )
    log.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "items.csv").write_text("item,worth,maker\na,1,x\nb,-1,x\nc,2,\nd,,y\ne,3,z\nf,1,z\n")
    (tmp_path / "users.csv").write_text("user,age\n" + "".join(f"{i},30\n" for i in range(35)))
    items = {
        "files": "items.csv",
        "key": "item",
        "columns": {"item": "string", "worth": "float", "maker": "string"},
    }
    users = {
        "files": "users.csv",
        "key": "user",
        "unmatched": "dead",
        "columns": {"user": "int", "age": "int"},
    }
    found, counted = [], []
    for join in ("in_memory", "by_key"):
        recipe = shop(
            sources={
                "log": {"unique": ["user", "at"]},
                "catalogs": {"items": {**items, "join": join}, "users": {**users, "join": join}},
            },
            roles={"item": "maker"},
            tasks={"click": {"kind": "binary", "label": "clicked", "weight": "worth"}},
            splits={"by": "hash", "of": "item", "validation": 0.3, "test": 0.3},
            history={"seen": {"kind": "count", "by": "user"}, "sold": {"kind": "count", "by": "maker"}},
        )
        counts = run_stages(recipe, tmp_path, tmp_path / join, shards=shards)
        counts.check()
        found.append(flat(examples, recipe, tmp_path / join))
        counted.append((counts.written, counts.dropped, counts.dead, counts.matched, counts.unmatched))
    alive = log[log["item"].isin(list("aef")) & (log["user"] < 35)]
    kept = alive.drop_duplicates(["user", "at"])
    assert sorted(found[0]) == sorted(found[1]) and found[0] == found[1] and counted[0] == counted[1]
    assert len(found[0]) == len(kept) < len(alive)
    expected = [((kept["user"] == r.user) & (kept["at"] < r.at)).sum() for r in kept.itertuples()]
    assert sorted(row["seen"][0] for row in found[0].values()) == sorted(expected)


@pytest.mark.parametrize("join", ["in_memory", "by_key"])
def test_a_value_from_the_future_is_never_joined(tmp_path, shop, run_stages, examples, payloads, world, join):
    log, items, users, orders = world
    recipe = shop(sources={"log": LOG, "catalogs": catalogs(join)})
    run_stages(recipe, write(world, tmp_path / "in"), tmp_path / "out", shards=4)
    # a millisecond after an item was shown last there is a row that would give its labels away
    last = log.groupby("item", as_index=False)["at"].max()
    future = pd.DataFrame({"item": last["item"], "since": last["at"] + 1, "colour": "future"})
    planted = write((log, pd.concat([items, future]), users, orders), tmp_path / "planted")
    run_stages(recipe, planted, tmp_path / "out2", shards=4)
    assert payloads(tmp_path / "out") == payloads(tmp_path / "out2")
    rows = flat(examples, recipe, tmp_path / "out").values()
    assert all(row["since"][0] <= row["at"][0] for row in rows if row["since"])


@pytest.mark.parametrize("join", ["in_memory", "by_key"])
def test_a_catalog_that_has_no_row_of_the_log_stops_the_run(tmp_path, shop, world, join):
    log, items, users, orders = world
    folder = write((log, items.assign(item=items["item"].str.upper()), users, orders), tmp_path / "in")
    recipe = shop(sources={"log": LOG, "catalogs": catalogs(join)})
    with pytest.raises(
        DataError, match="catalogs.items: not one of .* rows of the log has a row in it; is the log's item"
    ):
        ingest(recipe, folder, tmp_path / "out", pipeline())


def test_a_repeated_key_of_a_catalog_joined_by_key_is_refused(tmp_path, shop, world):
    folder = write(world, tmp_path / "in")
    users = pd.concat([world[2], world[2].iloc[[7]]])
    pq.write_table(pa.Table.from_pandas(users, preserve_index=False), folder / "users.parquet")
    recipe = shop(sources={"log": LOG, "catalogs": catalogs("by_key")})
    with pytest.raises(DataError) as error:
        ingest(recipe, folder, tmp_path / "out", pipeline())
    assert "sources.catalogs.users: user 7 is there more than once, again in users.parquet, row 51" in str(
        error.value
    )


def labels_in_pandas(log, orders):
    """Last touch within 48 hours, rows whose window is open left out."""
    window, until = 48 * HOUR, orders["bought_at"].max()
    log = log.drop_duplicates(["user", "item", "at"]).sort_values("at")
    orders = orders.sort_values("bought_at")
    matched = pd.merge_asof(
        orders,
        log[["user", "item", "at"]].assign(shown=log["at"]),
        left_on="bought_at",
        right_on="at",
        by=["user", "item"],
    ).dropna(subset="shown")
    matched = matched[matched["bought_at"] < matched["shown"] + window]
    matched["shown"] = matched["shown"].astype(np.int64)
    key = ["user", "item", "shown"]
    ordered = set(matched.loc[matched["what"] == "order", key].itertuples(index=False, name=None))
    spent = matched.groupby(key)["amount"].sum().to_dict()
    found = {}
    for user, item, at in log[["user", "item", "at"]].itertuples(index=False, name=None):
        if at + window <= until:
            found[user, item, at] = (float((user, item, at) in ordered), spent.get((user, item, at), 0.0))
        else:
            found[user, item, at] = None
    return found


@pytest.mark.parametrize("shards", [1, 4])
def test_events_become_labels(tmp_path, shop, run_stages, examples, world, shards):
    folder = write(world, tmp_path / "in")
    recipe = shop(sources={"log": LOG, "events": ORDERS}, tasks=TASKS)
    counts = run_stages(recipe, folder, tmp_path / "out", shards=shards)
    counts.check()
    rows = flat(examples, recipe, tmp_path / "out").values()
    expected = labels_in_pandas(world[0], world[3])
    assert len(rows) == len(expected)
    for row in rows:
        want = expected[row["user"][0], row["item"][0].decode(), row["at"][0]]
        assert row["order/mask"] == [float(want is not None)]
        assert row["spend/mask"] == [float(want is not None and want[0] == 1)]
        if want is not None:
            assert row["order/label"] == [want[0]]
            if want[0]:
                np.testing.assert_allclose(row["spend/label"], want[1], rtol=1e-6)
        assert row["click/mask"] == [1.0]  # of another task's window nothing is seen
    assert counts.open_windows == dict.fromkeys(("order", "spend"), sum(v is None for v in expected.values()))
    orders = world[3]
    assert sum(counts.attributed["order"].values()) == (orders["what"] == "order").sum()
    assert sum(counts.attributed["spend"].values()) == len(orders)
    assert counts.events == {"orders": {"read": len(orders), "dead": 0}}


def test_one_switch_takes_open_windows_for_negatives(tmp_path, shop, run_stages, examples, world):
    folder = write(world, tmp_path / "in")
    tasks = {**TASKS, "order": {"kind": "binary", "events": {**TASKS["order"]["events"], "open": "negative"}}}
    recipe = shop(sources={"log": LOG, "events": ORDERS}, tasks=tasks)
    counts = run_stages(recipe, folder, tmp_path / "out")
    rows = list(flat(examples, recipe, tmp_path / "out").values())
    assert all(row["order/mask"] == [1.0] for row in rows) and counts.open_windows["order"] == 0
    newest = [r["order/label"][0] for r in rows if r["at"][0] >= START + 9 * 24 * HOUR]
    older = [r["order/label"][0] for r in rows if r["at"][0] < START + 5 * 24 * HOUR]
    assert len(newest) > 200 and len(older) > 1000 and np.mean(newest) < 0.8 * np.mean(older)


def history_in_pandas(log):
    log = log.drop_duplicates(["user", "item", "at"])
    found = {}
    for row in log.itertuples(index=False):
        mine = log[(log["user"] == row.user) & (log["at"] < row.at) & (log["clicked"] == 1)]
        recent = mine.sort_values("at", kind="stable")["item"].tolist()[-3:]
        past = log[(log["item"] == row.item) & (log["at"] < row.at) & (log["at"] >= row.at - 48 * HOUR)]
        found[row.user, row.item, row.at] = recent, past["clicked"].mean() if len(past) else None
    return found


@pytest.mark.parametrize("shards", [1, 4])
def test_history_sees_what_was_before_and_goes_to_the_store(
    tmp_path, shop, run_stages, examples, world, shards
):
    log = world[0].iloc[:1500]
    folder = write((log, *world[1:]), tmp_path / "in")
    recipe = shop(sources={"log": LOG}, history=HISTORY, features={"recent": {"kind": "categorical"}})
    counts = run_stages(recipe, folder, tmp_path / "out", shards=shards)
    counts.check()
    expected = history_in_pandas(log)
    rows = flat(examples, recipe, tmp_path / "out").values()
    assert len(rows) == len(expected)
    for row in rows:
        recent, rate = expected[row["user"][0], row["item"][0].decode(), row["at"][0]]
        assert [x.decode() for x in row["recent"] or []] == recent
        np.testing.assert_allclose(row["rate"] or [], [] if rate is None else [rate], rtol=1e-6)


def test_the_whole_way_in_processes_of_their_own(tmp_path, shop, payloads, examples, world):
    folder = write(world, tmp_path / "in")
    recipe = shop(
        sources={"log": LOG, "catalogs": catalogs("by_key"), "events": ORDERS},
        tasks=TASKS,
        history=HISTORY,
        downsampling={"task": "click", "keep": 0.5},
    )
    counts = ingest(recipe, folder, tmp_path / "one", pipeline())
    again = ingest(recipe, folder, tmp_path / "many", pipeline("multi_processing"))
    assert payloads(tmp_path / "one") == payloads(tmp_path / "many") and counts == again
    assert counts.dropped["repeat"] == len(world[0]) - len(world[0].drop_duplicates(["user", "item", "at"]))
    assert counts.dropped["downsampled"] > 500
    train = examples(recipe, tmp_path / "one")["train"]
    assert {r["click/weight"][0] for r in train if r["click/label"] == [0.0]} == {2.0}
    store = pq.read_table(tmp_path / "one/online/user.parquet")
    assert store["user"].to_pylist() == sorted(world[0]["user"].unique())


def test_the_same_bytes_from_every_format(tmp_path, shop, run_stages, payloads, world):
    log = world[0]
    half = len(log) // 2
    for number, part in enumerate((log.iloc[:half], log.iloc[half:])):
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), tmp_path / f"day{number}.parquet")
        part.to_csv(tmp_path / f"day{number}.csv", index=False)
        part.to_csv(tmp_path / f"day{number}.tsv.gz", index=False, sep="\t")
        part.to_json(tmp_path / f"day{number}.jsonl", orient="records", lines=True)
    found = []
    for ending in ("parquet", "csv", "tsv.gz", "jsonl"):
        recipe = shop(sources={"log": {**LOG, "files": f"*.{ending}"}}, history=HISTORY)
        run_stages(recipe, tmp_path, tmp_path / ending)
        found.append(
            {
                p.relative_to(tmp_path / ending).as_posix(): p.read_bytes()
                for p in sorted((tmp_path / ending).glob("Split-*/*"))
            }
        )
    assert sum(map(len, found[0].values())) > 50_000
    assert found[0] == found[1] == found[2] == found[3]


shown = st.tuples(
    st.sampled_from(["", "1", "2", "3"]),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["", "x", *(str(START + hours * HOUR) for hours in range(0, 96, 12))]),
    st.sampled_from(["0", "1", "", "7"]),
)
event = st.tuples(
    st.sampled_from(["", "1", "2", "4"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["", "x", *(str(START + hours * HOUR) for hours in range(0, 120, 6))]),
    st.sampled_from(["order", "cart", ""]),
    st.sampled_from(["1.5", "2", "", "y"]),
)


@settings(deadline=None, max_examples=25)
@given(st.lists(shown, min_size=1, max_size=25), st.lists(event, max_size=15), st.sampled_from([1, 4]))
def test_counts_add_up_and_labels_are_those_of_pandas_on_any_tables(
    tmp_path_factory, shop, run_stages, examples, rows, happened, shards
):
    folder = tmp_path_factory.mktemp("any")
    columns = ["user", "item", "at", "clicked"]
    log = pd.DataFrame(rows, columns=columns).assign(price="1")
    names = ["user", "item", "bought_at", "what", "amount"]
    orders = pd.DataFrame(happened, columns=names, dtype=str)
    log.to_csv(folder / "log.csv", index=False)
    orders.to_csv(folder / "orders.csv", index=False)
    recipe = shop(
        sources={
            "log": {"files": "log.csv", "unique": ["user", "item", "at"]},
            "events": {
                "orders": {**ORDERS["orders"], "files": "orders.csv", "complete_until": "2023-11-18T00:00"}
            },
        },
        tasks=TASKS,
    )
    counts = run_stages(recipe, folder, folder / "out", shards=shards)
    counts.check()
    # a row without a time cannot follow anything, nor can an event that lacks a key
    live = log[~log["at"].isin(["", "x"]) & (log["clicked"] != "7")]
    repeats = live[columns[:3]].duplicated() & (live[columns[:3]] != "").all(axis=1)
    kept = live[~repeats]
    usable = ~orders["bought_at"].isin(["", "x"]) & (orders["user"] != "") & (orders["amount"] != "y")
    sound = orders.loc[usable.astype(bool)]
    assert (counts.read, counts.rows_dead) == (len(log), len(log) - len(live))
    assert (counts.dropped, counts.rows_written) == ({"repeat": n} if (n := repeats.sum()) else {}, len(kept))
    assert counts.events == {"orders": {"read": len(orders), "dead": len(orders) - len(sound)}}
    meant = {"order": sound["what"] == "order", "spend": np.ones(len(sound))}
    assert all(sum(counts.attributed.get(n, {}).values()) == m.sum() for n, m in meant.items())
    until, window = 1_700_265_600_000, 48 * HOUR
    found = sorted(
        (r["user"] or [-1], r["item"] or [b""], r["at"], r["order/label"], r["order/mask"], r["spend/label"])
        for r in flat(examples, recipe, folder / "out").values()
    )
    expected = []
    for user, item, at in kept[columns[:3]].itertuples(index=False):
        known = user != "" and item != "" and int(at) + window <= until
        mine = sound[(sound["user"] == user) & (sound["item"] == item)] if known else sound[:0]
        # last touch: no newer impression of the two stands between
        newer = [int(t) for u, i, t in kept[columns[:3]].itertuples(index=False) if (u, i) == (user, item)]
        ends = min([int(at) + window, *(t for t in newer if t > int(at))])
        counts_for_it = [int(at) <= int(t) < ends and int(t) <= until for t in mine["bought_at"]]
        mine = mine.loc[np.array(counts_for_it, bool)]
        ordered = (mine["what"] == "order").any()
        spent = sum(float(a or 0) for a in mine["amount"]) if ordered else 0.0
        shown_at = [int(user)] if user else [-1], [item.encode()], [int(at)]
        expected.append((*shown_at, [float(ordered)], [float(known)], [spent]))
    assert found == sorted(expected)
