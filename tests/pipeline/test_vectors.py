"""Vectors by key: from Parquet to the matrix that a model holds."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.errors import DataError
from pipeline.vectors import (
    NO_KEY,
    NO_VECTOR,
    NOT_FINITE,
    Table,
    absent_file,
    held,
    keys_file,
    link_vectors,
    read_matrices,
    write_vectors,
)

KEYS = ["a", "b", None, "d", "", "f\ng", "h"]
VECTORS = [[1, 2], None, [3, 4], [5, float("nan")], [6, 7], [8, 9], [10, 11]]


def parquet(path, keys=KEYS, vectors=VECTORS, kind=pa.float32(), columns=("key", "vector")):
    table = pa.table(dict(zip(columns, (pa.array(keys), pa.array(vectors, pa.list_(kind))), strict=True)))
    pq.write_table(table, path)
    return str(path)


def table(*files, **others):
    return Table(list(files), "digest", **others)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.float16()])
def test_what_has_no_usable_vector_or_key_is_absent(tmp_path, kind):
    vectors = VECTORS if kind != pa.float16() else [v and [np.float16(x) for x in v] for v in VECTORS]
    given = table(parquet(tmp_path / "a.parquet", vectors=vectors, kind=kind))
    found = write_vectors({"x": given}, tmp_path / "to")
    assert keys_file(tmp_path / "to", "x").read_text() == "a\nh\n"
    np.testing.assert_array_equal(read_matrices(tmp_path / "to", ["x"])["x"], [[0, 0], [1, 2], [10, 11]])
    assert (found["x"].keys, found["x"].absent, found["x"].rows, found["x"].dimension) == (2, 5, 3, 2)
    assert held(tmp_path / "to") == found
    assert found["x"].reasons == {NO_KEY: 3, NO_VECTOR: 1, NOT_FINITE: 1}
    absent = pq.read_table(absent_file(tmp_path / "to", "x")).to_pylist()
    assert [(row["key"], row["reason"]) for row in absent[:2]] == [("b", NO_VECTOR), (None, NO_KEY)]


def test_what_its_maker_says_of_an_absent_vector_is_kept(tmp_path):
    why = ["no content", "not a picture", None]
    rows = {"key": ["a", "b", "c"], "vector": pa.array([None, None, [1.0]]), "reason": why}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    given = table(str(tmp_path / "a.parquet"), reason="reason")
    found = write_vectors({"x": given}, tmp_path / "to")["x"]
    assert (found.keys, found.absent) == (1, 2)
    assert found.reasons == {"no content": 1, "not a picture": 1}


def test_whole_numbers_as_keys_other_columns_and_several_files(tmp_path):
    one = parquet(tmp_path / "1.parquet", [7], [[1.0]], columns=("id", "own"))
    two = parquet(tmp_path / "2.parquet", [-8], [[2.0]], columns=("id", "own"))
    write_vectors({"x": table(one, two, key="id", column="own")}, tmp_path / "to")
    assert keys_file(tmp_path / "to", "x").read_text() == "7\n-8\n"
    (tmp_path / "linked").mkdir()
    link_vectors(tmp_path / "to", tmp_path / "linked")
    np.testing.assert_array_equal(read_matrices(tmp_path / "linked", ["x"])["x"], [[0], [1], [2]])


def test_what_is_wrong_is_said(tmp_path):
    def refused(*arguments, **others):
        with pytest.raises(DataError) as error:
            given = table(parquet(tmp_path / "a.parquet", *arguments), **others)
            write_vectors({"x": given}, tmp_path / "to")
        return str(error.value)

    assert "the key 'a' is there more than once" in refused(["a", "a"], [[1.0], [2.0]])
    assert "a vector of 2 numbers; others have 1" in refused(["a", "b"], [[1.0], [2.0, 3.0]])
    assert "a vector of 1 numbers; others have 4" in refused(["a"], [[1.0]], dimension=4)
    assert "has no column 'id'; it has key, vector" in refused(["a"], [[1.0]], key="id")
    assert "none of 1 keys has a vector" in refused(["a"], [None])
    assert "is string; a vector is a list of numbers" in refused(["a"], [[1.0]], column="key")
