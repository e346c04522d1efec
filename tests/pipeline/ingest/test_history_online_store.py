"""The online store's files: what is in them, and that they do not depend on the partitions."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipeline.ingest import online_store
from pipeline.ingest.errors import DataError
from pipeline.ingest.history import History
from pipeline.ingest.online_store import merge_parts, write_part
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe.parts import Earlier

_READ = TypeAdapter(Earlier).validate_python
SPECS = {
    "items": _READ({"kind": "last", "by": "user", "of": "item", "n": 3}),
    "rate": _READ({"kind": "rate", "by": "user", "of": "click == 1", "window": "7d"}),
    "pair": _READ({"kind": "count", "by": ["user", "city"]}),
}
HISTORY = History(SPECS, {"user": "int", "city": "string", "item": "string", "click": "int"})


def log(rows=2_000, users=300):
    random = np.random.default_rng(3)
    return pa.table(
        {
            "user": random.integers(-users, users, rows),
            "city": random.choice(["Ålesund", "Rome", "東京", "🏙 Oslo", ""], rows),
            "item": random.choice(list("abcdef"), rows),
            "click": random.integers(0, 2, rows),
            "time": random.integers(0, 10**9, rows),
            FILE: np.zeros(rows, np.int32),
            POSITION: np.arange(rows),
        }
    )


def write(folder, table, partitions):
    for number in range(partitions):
        mine = pa.array(table["user"].to_numpy() % partitions == number)
        write_part(folder, number, HISTORY.current(table.filter(mine), "time", 10**9))


def test_a_store_by_hand(tmp_path):
    rows = pa.table(
        {
            "user": [2, 1, 2],
            "city": ["Rome", "Rome", "Oslo"],
            "item": ["a", "b", "c"],
            "click": [1, 0, 0],
            "time": [1_000, 2_000, 3_000],
            FILE: np.zeros(3, np.int32),
            POSITION: np.arange(3),
        }
    )
    for number in (0, 1):
        mine = pa.array(rows["user"].to_numpy() % 2 == number)
        write_part(tmp_path / "parts", number, HISTORY.current(rows.filter(mine), "time", 3_001))
    (tmp_path / "online").mkdir()
    (tmp_path / "online/user.parquet").write_text("an older one")
    found = merge_parts(tmp_path / "parts", tmp_path / "online", SPECS, "shop", 3_001)
    assert found == {"user.parquet": 2, "user_and_city.parquet": 3}
    assert sorted(path.name for path in (tmp_path / "online").iterdir()) == list(found)
    users = pq.read_table(tmp_path / "online/user.parquet")
    assert users.to_pylist() == [
        {"user": 1, "items": ["b"], "rate": 0.0},
        {"user": 2, "items": ["a", "c"], "rate": 0.5},
    ]
    pairs = pq.read_table(tmp_path / "online/user_and_city.parquet")
    assert pairs.to_pylist() == [
        {"user": 1, "city": "Rome", "pair": 1},
        {"user": 2, "city": "Oslo", "pair": 1},
        {"user": 2, "city": "Rome", "pair": 1},
    ]
    about = {key.decode(): value.decode() for key, value in users.schema.metadata.items()}
    assert (about["recipe"], about["as_of_ms"], json.loads(about["key"])) == ("shop", "3001", ["user"])
    assert json.loads(about["absent"]) == {"items": [], "rate": None}
    assert {n: _READ(s) for n, s in json.loads(about["history"]).items()} == {
        n: SPECS[n] for n in ("items", "rate")
    }


@pytest.mark.parametrize("partitions", [2, 5, 64])
def test_files_do_not_depend_on_partitions(tmp_path, monkeypatch, partitions):
    # small enough that parts are read in several steps and files have several row groups
    monkeypatch.setattr(online_store, "PART_ROWS", 7)
    monkeypatch.setattr(online_store, "GROUP_ROWS", 50)
    rows = log()
    names = ["user.parquet", "user_and_city.parquet"]
    for n in (1, partitions):
        write(tmp_path / f"parts{n}", rows, n)
        assert list(merge_parts(tmp_path / f"parts{n}", tmp_path / f"{n}", SPECS, "shop", 10**9)) == names
    for name in names:
        one, several = ((tmp_path / f"{n}" / name) for n in (1, partitions))
        assert one.read_bytes() == several.read_bytes()
        assert pq.ParquetFile(one).metadata.num_row_groups > 3
    whole = HISTORY.current(rows, "time", 10**9)
    for by, table in whole.items():
        assert pq.read_table(tmp_path / "1" / f"{'_and_'.join(by)}.parquet").equals(table)


keys_ = st.sets(st.tuples(st.integers(-3, 3), st.text("aé~🏙", max_size=3)), max_size=40)


@settings(deadline=None)
@given(keys_, st.integers(0, 2**32), st.integers(1, 6))
def test_a_merge_is_a_sort(tmp_path_factory, keys, seed, partitions):
    folder = tmp_path_factory.mktemp("merge")
    owner = np.random.default_rng(seed).integers(0, partitions, len(keys))
    schema = pa.schema({"user": pa.int64(), "city": pa.string(), "pair": pa.int64()})
    rows = [dict(zip(schema.names, (*key, i))) for i, key in enumerate(sorted(keys))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online_store, "PART_ROWS", 3)
        patch.setattr(online_store, "GROUP_ROWS", 4)
        for number in range(partitions):
            mine = [row for row, of in zip(rows, owner) if of == number]
            write_part(folder / "parts", number, {("user", "city"): pa.Table.from_pylist(mine, schema)})
        merge_parts(folder / "parts", folder, {"pair": SPECS["pair"]}, "shop", 0)
    assert pq.read_table(folder / "user_and_city.parquet").to_pylist() == rows


@pytest.mark.parametrize(("second", "key"), [([4, 5], 4), ([1, 5], 1), ([5, 9], 9)])
def test_a_key_in_two_parts_is_refused(tmp_path, monkeypatch, second, key):
    monkeypatch.setattr(online_store, "PART_ROWS", 1)
    for number, users in enumerate(([1, 4, 9], second)):
        table = pa.table({"user": users, "rate": np.zeros(len(users))})
        write_part(tmp_path / "parts", number, {("user",): table})
    with pytest.raises(ValueError, match=f"{{'user': {key}}} is in more than one partition"):
        merge_parts(tmp_path / "parts", tmp_path / "online", {"rate": SPECS["rate"]}, "shop", 0)


def test_keys_of_one_file_are_refused(tmp_path):
    specs = {
        "one": _READ({"kind": "count", "by": "user_and_city"}),
        "two": _READ({"kind": "count", "by": ["user", "city"]}),
    }
    write_part(tmp_path / "parts", 0, {("user_and_city",): pa.table({"user_and_city": [1], "one": [1]})})
    write_part(tmp_path / "parts", 0, {("user", "city"): pa.table({"user": [1], "city": [1], "two": [1]})})
    with pytest.raises(DataError, match="user with city and user_and_city would both .* user_and_city.parq"):
        merge_parts(tmp_path / "parts", tmp_path / "online", specs, "shop", 0)


def test_history_without_a_part_is_refused(tmp_path):
    write_part(tmp_path / "parts", 0, {("user",): pa.table({"user": [1], "rate": [0.5]})})
    with pytest.raises(ValueError, match="no part has items, pair"):
        merge_parts(tmp_path / "parts", tmp_path / "online", SPECS, "shop", 0)
