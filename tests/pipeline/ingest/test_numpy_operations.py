"""The operations by hand, above all for missing values."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.ingest import numpy_operations as ops
from pipeline.recipe.expressions import parse

NAN = np.nan
TYPES = {"a": "float", "b": "float", "t": "int", "s": "string"}


def evaluate(text, **columns):
    values = {n: np.array(v, object if isinstance(v[0], str) else np.float64) for n, v in columns.items()}
    return parse(text, TYPES).evaluate(values, ops).tolist()


@pytest.mark.parametrize(
    ("text", "a", "b", "want"),
    [
        ("a + b * 2", [1, NAN], [3, 3], [7, NAN]),
        ("a / b", [1, 1, 0], [4, 0, 0], [0.25, NAN, NAN]),
        ("a // b", [7, -7, 7, 1], [2, 2, 0, 0.1], [3, -4, NAN, 10]),
        ("a % b", [7, -7, 7, 7], [3, 3, -3, 0], [1, 2, -2, NAN]),
        ("-a", [1, NAN], [0, 0], [-1, NAN]),
        ("log1p(a)", [0, -1, -2, NAN], [0] * 4, [0, NAN, NAN, NAN]),
        ("sqrt(a)", [9, -1], [0, 0], [3, NAN]),
        ("minimum(a, b)", [1, NAN], [2, 2], [1, NAN]),
        ("maximum(a, b)", [1, 3], [2, NAN], [2, NAN]),
        ("clip(a, 0, b)", [5, -5, NAN], [3, 3, 3], [3, 0, NAN]),
        ("if_missing(a, b)", [NAN, 1], [2, 2], [2, 1]),
        ("a if b > 1 else 0", [5, 6, 7], [2, 1, NAN], [5, 0, 0]),
    ],
)
def test_numbers(text, a, b, want):
    np.testing.assert_equal(evaluate(text, a=a, b=b), want)


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_a_comparison_with_a_missing_number_is_false(operator):
    assert evaluate(f"a {operator} b", a=[NAN, 1, NAN], b=[1, NAN, NAN]) == [False] * 3


def test_conditions():
    assert evaluate("a > 0 and not (b > 0)", a=[1, 1, 0], b=[0, 1, 0]) == [True, False, False]
    assert evaluate("not (a > 0)", a=[NAN], b=[0]) == [True]
    assert evaluate("is_missing(a) or b == 1", a=[NAN, 1, 1], b=[0, 1, 0]) == [True, True, False]


def test_texts():
    assert evaluate("s == 'x'", s=["x", "", "y"]) == [True, False, False]
    assert evaluate("s != 'x'", s=["x", "", "y"]) == [False, True, True]
    assert evaluate("is_missing(s)", s=["x", ""]) == [False, True]
    assert evaluate("if_missing(s, 'none')", s=["x", ""]) == ["x", "none"]
    assert evaluate("lower(s)", s=["ÄB", ""]) == ["äb", ""]
    assert evaluate("'much' if a > 1 else s", a=[2, 1], s=["x", "y"]) == ["much", "y"]


def test_cross_writes_whole_numbers_without_a_point():
    got = evaluate("cross(a, s)", a=[3, -0.5, NAN, 3, 1e10], s=["x", "y", "z", "", "w"])
    assert got == ["3_x_x", "-0.500000_x_y", "", "", "10000000000_x_w"]


def test_times_with_an_offset():
    # 2024-02-29T22:30Z is a Thursday; at +8 h it is 06:30 on Friday, 1 March
    at = [1_709_245_800_000]
    assert evaluate("hour(t)", t=at) == [22] and evaluate("hour(t, 8)", t=at) == [6]
    assert evaluate("weekday(t)", t=at) == [3] and evaluate("weekday(t, 8)", t=at) == [4]
    assert evaluate("days(t, 8) - days(t)", t=at) == [1]
    assert evaluate("hour(t)", t=[-1]) == [23] and evaluate("days(t)", t=[-1]) == [-1]


def test_columns_from_arrow():
    np.testing.assert_equal(ops.column_values(pa.array([1, None, 3])), [1, NAN, 3])
    assert ops.column_values(pa.array(["a", None])).tolist() == ["a", ""]
