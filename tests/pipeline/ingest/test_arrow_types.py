"""Arrow columns of a file's own types to the recipe's."""

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from pipeline.ingest.arrow_types import ARROW_TYPES, convert, fits
from pipeline.recipe.parts import Column

BAD = "BAD"


def read(array, **column):
    spec = Column(**column)
    assert fits(array.type, spec)
    found, bad = convert(array, spec)
    found.validate(full=True)
    assert found.type == ARROW_TYPES[spec.type]
    bad = np.zeros(len(array), bool) if bad is None else bad
    return [BAD if wrong else value for value, wrong in zip(found.to_pylist(), bad)]


@pytest.mark.parametrize(
    ("array", "kind", "want"),
    [
        (pa.array([1, None], pa.int8()), "int", [1, None]),
        (pa.array([True, False, None]), "int", [1, 0, None]),
        (pa.array([1.0, 1.5, np.nan, np.inf, None]), "int", [1, BAD, None, BAD, None]),
        (pa.array([2**64 - 1, 5], pa.uint64()), "int", [BAD, 5]),
        (pa.array([1, None]), "float", [1.0, None]),
        (pa.array([0.5, np.nan, np.inf, None]), "float", [0.5, None, BAD, None]),
        (pa.array([Decimal("1.50"), None]), "float", [1.5, None]),
        (pa.array(["a", "", None]), "string", ["a", None, None]),
        (pa.array([b"a", b"\xff"]), "string", ["a", BAD]),
        (pa.array([7, None]), "string", ["7", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), "string", ["a", None, "a"]),
        (pa.nulls(2), "float", [None, None]),
        (pa.array([date(1970, 1, 3), None]), "date", [2, None]),
        (pa.array([datetime(1969, 12, 31, 12)]), "date", [-1]),
        (pa.array(["1970-01-02", "x"]), "date", [1, BAD]),
        (pa.array([[1, None, 2], None, []]), "list[int]", [[1, 2], None, None]),
        (pa.array([["a", ""], ["b"]]), "list[string]", [["a"], ["b"]]),
        (pa.array([[1.0, 2.0], None, [1.0, None]]), "vector", [[1.0, 2.0], None, BAD]),
        (
            pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
            "vector",
            [[1.0, 2.0], None, [3.0, 4.0]],
        ),
    ],
)
def test_convert(array, kind, want):
    assert read(array, type=kind) == want
    # a slice has offsets of its own
    assert read(pa.concat_arrays([array, array]).slice(1, len(array)), type=kind) == [*want[1:], want[0]]


def test_times():
    at = datetime(2022, 5, 1, 0, 0, 0, 1999)
    assert read(pa.array([at, None], pa.timestamp("us")), type="time") == [1651363200001, None]
    assert read(pa.array([at], pa.timestamp("ns", "Asia/Shanghai")), type="time") == [1651363200001]
    assert read(pa.array([date(1970, 1, 2)]), type="time") == [86_400_000]
    assert read(pa.array([1651363200]), type="time", unit="s") == [1651363200000]
    assert read(pa.array([0.5, np.nan, 1e300]), type="time", unit="s") == [500, None, BAD]
    assert read(pa.array(["1970-01-01T00:00:01"]), type="time", unit="iso") == [1000]


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (pa.string(), {"type": "int"}),
        (pa.string(), {"type": "time"}),
        (pa.float64(), {"type": "string"}),
        (pa.int64(), {"type": "date"}),
        (pa.string(), {"type": "list[string]"}),
        (pa.int64(), {"type": "vector"}),
        (pa.list_(pa.string()), {"type": "list[int]"}),
        (pa.list_(pa.int64()), {"type": "int"}),
    ],
)
def test_what_does_not_fit(kind, column):
    assert not fits(kind, Column(**column))
