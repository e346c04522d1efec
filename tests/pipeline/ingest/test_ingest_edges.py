"""Sources without rows, partitions without keys, rows that all die late, and what killed runs leave."""

import json

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.ingest.errors import DataError
from pipeline.ingest.places import FILE, POSITION
from pipeline.ingest.run import ingest
from pipeline.ingest.spill import bucket_of

START = 1_700_000_000_000
HOUR = 3_600_000
TIME = {"type": "time", "unit": "ms"}
ITEMS = {
    "files": "items.csv",
    "key": "item",
    "time": "since",
    "join": "by_key",
    "columns": {"item": "string", "colour": "string", "since": TIME},
}
ORDERS = {
    "files": "orders.parquet",
    "keys": ["user", "item"],
    "time": "bought_at",
    "columns": {"user": "int", "item": "string", "bought_at": TIME},
}
BUY = {"kind": "binary", "events": {"source": "orders", "window": "1h"}}


def pipeline():
    return beam.Pipeline(
        options=PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    )


@pytest.fixture
def folder(tmp_path):
    """300 rows of a log, written as log.csv."""
    draw = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "user": draw.integers(0, 30, 300),
            "item": draw.choice(list("abc"), 300),
            "at": START + draw.integers(0, 240, 300) * HOUR,
            "price": draw.random(300).round(3),
            "clicked": draw.integers(0, 2, 300),
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    return tmp_path


def rows(examples, recipe, out):
    return {r["row/id"][0]: r for split in examples(recipe, out).values() for r in split}


def without_rows(path, **columns):
    """A Parquet file that has not even a row group."""
    pq.ParquetWriter(path, pa.schema(columns)).close()
    assert pq.ParquetFile(path).num_row_groups == 0


def test_partitions_without_the_catalogs_keys_are_like_the_others(folder, shop, run_stages, examples):
    (folder / "items.csv").write_text(f"item,colour,since\na,red,{START}\n")
    recipe = shop(
        sources={"catalogs": {"items": ITEMS}}, history={"seen": {"kind": "count", "by": "user"}}
    )  # history's stage reads what all partitions wrote before it
    counts = run_stages(recipe, folder, folder / "out", shards=4)
    counts.check()
    assert counts.rows_written == 300 and counts.matched["items"] + counts.unmatched["items"] == 300
    for row in rows(examples, recipe, folder / "out").values():
        assert row["colour"] == ([b"red"] if row["item"] == [b"a"] else None)


def test_an_event_log_without_row_groups_has_no_event(folder, shop, run_stages, examples):
    without_rows(folder / "orders.parquet", user=pa.int64(), item=pa.string(), bought_at=pa.int64())
    orders = {**ORDERS, "complete_until": "2023-12-31"}
    recipe = shop(sources={"events": {"orders": orders}}, tasks={"buy": BUY})
    counts = run_stages(recipe, folder, folder / "out", shards=2)
    counts.check()
    assert counts.events == {"orders": {"read": 0, "dead": 0}} and counts.open_windows == {"buy": 0}
    found = rows(examples, recipe, folder / "out").values()
    assert len(found) == 300 and all(r["buy/label"] == [0.0] and r["buy/mask"] == [1.0] for r in found)


def test_a_catalog_without_row_groups_has_no_row(folder, shop, run_stages):
    without_rows(folder / "items.parquet", item=pa.string(), colour=pa.string(), since=pa.int64())
    recipe = shop(sources={"catalogs": {"items": {**ITEMS, "files": "items.parquet"}}})
    counts = run_stages(recipe, folder, folder / "out", shards=2)
    assert counts.unmatched == {"items": 300} and counts.catalogs == {"items": {"read": 0, "dead": 0}}


def test_rows_that_all_die_before_history_are_refused_for_that(folder, shop):
    (folder / "items.csv").write_text(f"item,colour,since\nq,red,{START}\n")
    recipe = shop(
        sources={"catalogs": {"items": {**ITEMS, "unmatched": "dead"}}},
        history={"seen": {"kind": "count", "by": "user"}, "shown": {"kind": "count", "by": "item"}},
        dead={"max_share": 0.5},
    )
    with pytest.raises(DataError, match=r"the log: 300 of 300 rows \(100.00%\) are dead"):
        ingest(recipe, folder, folder / "out", pipeline())
    letters = (folder / "out/dead_letters.jsonl").read_text().splitlines()
    assert [json.loads(letter)["position"] for letter in letters] == list(range(1, 301))


def test_what_a_killed_run_left_is_neither_counted_nor_kept(folder, shop):
    left = folder / "out/.ingest"
    left.mkdir(parents=True)
    (left / "read-000007.json").write_text(json.dumps({"read": 5, "dropped": {"repeat": 5}}))
    (left / "late-0-00000").write_text(json.dumps([0, 1, "kind", "reason"]) + "\n")
    shard = folder / "out/Split-train/data_tfrecord-00003-of-00004.gz"
    shard.parent.mkdir()
    shard.write_bytes(b"")
    counts = ingest(shop(), folder, folder / "out", pipeline())
    assert counts.read == counts.rows_written == 300
    assert not shard.exists() and not (folder / "out/dead_letters.jsonl").read_text()
    assert [p.name for p in shard.parent.iterdir()] == ["data_tfrecord-00000-of-00001.gz"]


def test_partitions_are_as_many_as_the_largest_source_needs(folder, shop, run_stages, examples, monkeypatch):
    """A short log with a large event log or catalog does not bring all of that into memory at once."""
    draw = np.random.default_rng(6)
    orders = pd.DataFrame(
        {
            "user": draw.integers(0, 5000, 4000),
            "item": "a",
            "bought_at": START + draw.integers(0, 240 * HOUR, 4000),
        }
    )
    pq.write_table(pa.Table.from_pandas(orders, preserve_index=False), folder / "orders.parquet")
    recipe = shop(sources={"events": {"orders": {**ORDERS, "keys": "user"}}}, tasks={"buy": BUY})
    counts = run_stages(recipe, folder, folder / "one")
    monkeypatch.setattr("pipeline.ingest.plan.OTHER_ROWS", 500)
    assert run_stages(recipe, folder, folder / "many") == counts
    assert [len(list((folder / out / "Split-train").iterdir())) for out in ("one", "many")] == [1, 8]
    assert rows(examples, recipe, folder / "one") == rows(examples, recipe, folder / "many")


def test_rows_without_a_key_are_not_all_in_one_partition():
    places = pa.array(range(8000))
    table = pa.table(
        {
            "user": pa.array([None if i % 2 else i % 16 for i in range(8000)], pa.int64()),
            "item": pa.array(["a"] * 8000),
            FILE: pa.array([0] * 8000, pa.int32()),
            POSITION: places,
        }
    )
    bucket = bucket_of(table, ["user", "item"], 4)
    assert np.bincount(bucket[1::2], minlength=4).min() > 900
    for user in range(0, 16, 2):  # those that have one meet
        assert len(set(bucket[user::16])) == 1


def write_orders(folder, **columns):
    columns = {"user": [1, 2, 3], "item": list("abc"), "bought_at": [START + 300 * HOUR] * 3} | columns
    pq.write_table(pa.table(columns), folder / "orders.parquet")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"item": list("xyz")}, r"3 have keys \(user, item\) that no row has, 0 are earlier"),
        ({"bought_at": [START - HOUR] * 3}, "0 have keys .*, 3 are earlier than all rows that have them"),
    ],
)
def test_an_event_log_that_follows_no_row_stops_the_run(folder, shop, columns, why):
    write_orders(folder, **columns)
    with (folder / "log.csv").open("a") as log:
        log.writelines(f"{user},{item},{START},1,0\n" for user, item in zip((1, 2, 3), "abc"))
    recipe = shop(sources={"events": {"orders": ORDERS}}, tasks={"buy": BUY})
    with pytest.raises(DataError, match=f"events.orders: no event follows a row of the log: {why}"):
        ingest(recipe, folder, folder / "out", pipeline())


def test_a_window_that_nothing_closes_is_told_from_an_open_one(folder, shop):
    write_orders(folder, user=pa.array([None] * 3, pa.int64()))
    recipe = shop(sources={"events": {"orders": ORDERS}}, tasks={"buy": BUY})
    with pytest.raises(
        DataError, match="buy: no row of train has a label: orders has no usable event, so that"
    ):
        ingest(recipe, folder, folder / "out", pipeline())


def test_too_many_dead_rows_are_explained_by_those_of_the_same_source(folder, shop):
    """Also where a catalog has the name of an event log, and the log has dead rows of its own."""
    (folder / "shop.csv").write_text(f"item,colour,since\na,red,{START}\n")
    with (folder / "log.csv").open("a") as log:
        log.writelines(["x,a,1,1,0\n"] * 3)
    write_orders(folder, item=["a", None, None])
    recipe = shop(
        sources={"catalogs": {"shop": {**ITEMS, "files": "shop.csv"}}, "events": {"shop": ORDERS}},
        tasks={"buy": {"kind": "binary", "events": {"source": "shop", "window": "1h"}}},
        dead={"max_share": 0.1},
    )
    with pytest.raises(DataError) as error:
        ingest(recipe, folder, folder / "out", pipeline())
    assert str(error.value).startswith(
        "events.shop: 2 of 3 rows (66.67%) are dead, and dead.max_share allows 10.00%: 2 × item is missing, "
        "which the join needs; every one is in "
    )
    (folder / "shop.csv").write_text("item,colour,since\na,red,\nb,red,5\n")
    write_orders(folder)
    with pytest.raises(
        DataError, match="catalogs.shop: 2 of 2 rows .*: 1 × since is missing.*; 1 × since: '5' i"
    ):
        ingest(recipe, folder, folder / "out", pipeline())
    joined = recipe.model_copy(deep=True)
    object.__setattr__(joined.sources.catalogs["shop"], "join", "in_memory")
    with pytest.raises(
        DataError, match="catalogs.shop: shop.csv has no usable rows: since is missing.* the like"
    ):
        ingest(joined, folder, folder / "out", pipeline())


@pytest.mark.parametrize("open_rows", ["mask", "negative"])
def test_rows_without_a_key_have_no_window(folder, shop, run_stages, open_rows):
    write_orders(folder)
    with (folder / "log.csv").open("a") as log:
        log.writelines([f",a,{START},1,0\n", f"1,a,{START + 300 * HOUR},1,0\n"])
    buy = {"kind": "binary", "events": {"source": "orders", "window": "1h", "open": open_rows}}
    counts = run_stages(
        shop(sources={"events": {"orders": ORDERS}}, tasks={"buy": buy}), folder, folder / "out"
    )
    assert counts.open_windows == {"buy": int(open_rows == "mask")}
    assert sum(counts.known["buy"].values()) == 302 - 1 - counts.open_windows["buy"]


def test_a_weight_that_reads_an_open_window_masks_its_task_alone(folder, shop, run_stages, examples):
    write_orders(folder, bought_at=[START + 100 * HOUR] * 3)
    click = {"kind": "binary", "label": "clicked", "weight": "buy + 1"}
    recipe = shop(sources={"events": {"orders": ORDERS}}, tasks={"buy": BUY, "click": click})
    counts = run_stages(recipe, folder, folder / "out")
    assert counts.dead == {} and 50 < counts.open_windows["buy"] < 250
    for row in rows(examples, recipe, folder / "out").values():
        known = row["at"][0] + HOUR <= START + 100 * HOUR
        assert row["buy/mask"] == row["click/mask"] == [float(known)]
        assert row["click/weight"] == [row["buy/label"][0] + 1 if known else 0.0]
