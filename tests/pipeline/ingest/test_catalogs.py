"""Joins: by key, and as of a time against a search row by row."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.catalogs import Join, load_catalog
from pipeline.ingest.errors import DataError
from pipeline.recipe.parts import Catalog

USERS = Catalog(files="users.csv", key="user", columns={"user": "int", "age": "int", "city": "string"})
PRICES = Catalog(
    files="prices.csv",
    key="item",
    time="since",
    columns={"item": "string", "since": "time", "price": "float"},
)


def test_join_by_key(tmp_path):
    (tmp_path / "users.csv").write_text("city,user,age\nRome,1,30\n,2,\n,,5\nx,y,z\n")
    loaded = load_catalog(USERS, "users", tmp_path, ["age", "city"])
    assert loaded.read == 4
    assert [(d.position, d.problem.kind) for d in loaded.dead] == [
        (3, "user is missing"),
        (4, "user: not an int"),
    ]
    columns = {"user": pa.array([2, 1, 9, None, 1])}
    unmatched = Join(USERS, loaded.table)(columns, None)
    assert unmatched.tolist() == [False, False, True, True, False]
    assert columns["age"].to_pylist() == [None, 30, None, None, 30]
    assert columns["city"].to_pylist() == [None, "Rome", None, None, "Rome"]


def test_only_wanted_columns_are_read(tmp_path):
    (tmp_path / "users.csv").write_text("user,age,city\n1,not read,Rome\n")
    assert load_catalog(USERS, "users", tmp_path, ["city"]).table.column_names == ["user", "city"]


def test_a_repeated_key_is_named(tmp_path):
    (tmp_path / "users.csv").write_text("user,age,city\n1,1,a\n7,1,b\n1,2,c\n7,2,d\n")
    with pytest.raises(
        DataError,
        match=r"sources.catalogs.users: user 1 is there more than once, again in users.csv, "
        r"row 3 \(2 such rows\)",
    ):
        load_catalog(USERS, "users", tmp_path, ["age"])


def test_no_usable_rows(tmp_path):
    (tmp_path / "users.csv").write_text("user,age,city\n")
    with pytest.raises(DataError, match="users.csv has no usable rows"):
        load_catalog(USERS, "users", tmp_path, ["age"])


catalog_rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-5, 5)), min_size=1, max_size=25)
queries = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.one_of(st.none(), st.integers(-7, 7))),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(catalog_rows, queries)
def test_as_of_joins_are_those_of_a_search_row_by_row(rows, queries):
    table = pa.table(
        {
            "item": pa.array([r[0] for r in rows]),
            "since": pa.array([r[1] for r in rows], pa.int64()),
            "price": np.arange(len(rows), dtype=float),
        }
    )
    columns = {"item": pa.array([q[0] for q in queries], pa.string())}
    unmatched = Join(PRICES, table)(columns, pa.array([q[1] for q in queries], pa.int64()))

    def newest(item, time):
        holding = [
            (since, i)
            for i, (key, since) in enumerate(rows)
            if key == item and time is not None and since <= time
        ]
        return float(max(holding)[1]) if holding else None

    want = [newest(*q) for q in queries]
    assert columns["price"].to_pylist() == want
    assert unmatched.tolist() == [w is None for w in want]
