"""The operations of a recipe's expressions on NumPy columns.

Values are float64 `[rows]` with NaN for a missing number, object arrays of `str` with "" for a missing text,
and bool arrays; constants are scalars. A missing number makes the result of arithmetic missing. An operation
without a real result (division by 0, the root of a negative number) gives a missing number, never infinity or
an error.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_COMPARE = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


def column_values(column: pa.Array) -> np.ndarray:
    """An Arrow column of ints, floats or strings as the operations take it: `[rows]`."""
    if pa.types.is_string(column.type):
        return column.fill_null("").to_numpy(zero_copy_only=False)
    # whole numbers beyond 2^53 lose their last digits here, as every float64 does
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def constant(value: bool | int | float | str) -> Any:
    """A literal: a float64, a bool or a text."""
    return value if isinstance(value, (bool, str)) else np.float64(value)


def add(a: Any, b: Any) -> Any:
    """a + b"""
    return a + b


def subtract(a: Any, b: Any) -> Any:
    """a − b"""
    return a - b


def multiply(a: Any, b: Any) -> Any:
    """a · b"""
    return a * b


def divide(a: Any, b: Any) -> Any:
    """a / b; missing where b is 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(np.equal(b, 0), np.nan, np.divide(a, b))


def floor_divide(a: Any, b: Any) -> Any:
    """⌊a / b⌋, of the rounded quotient; missing where b is 0."""
    return np.floor(divide(a, b))


def mod(a: Any, b: Any) -> Any:
    """a − ⌊a / b⌋ · b, so it has b's sign; missing where b is 0."""
    return a - floor_divide(a, b) * b


def compare(name: str, a: Any, b: Any) -> Any:
    """Compares numbers, texts or conditions: equal, not_equal, less, less_equal, greater or greater_equal.

    False where either number is missing, for not_equal too. A missing text is "", and equal to "".
    """
    result = _COMPARE[name](a, b)
    if name == "not_equal" and not _is_text(a) and not _is_text(b):
        result = result & ~is_missing(a) & ~is_missing(b)
    return np.asarray(result, bool)


def logical_and(a: Any, b: Any) -> Any:
    """Both conditions."""
    return np.logical_and(a, b)


def logical_or(a: Any, b: Any) -> Any:
    """Either condition."""
    return np.logical_or(a, b)


def logical_not(a: Any) -> Any:
    """Not the condition; true where it is false because a number was missing."""
    return np.logical_not(a)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, each row by itself."""
    if _is_text(a):
        return np.where(condition, np.asarray(a, object), np.asarray(b, object))
    return np.where(condition, a, b)


def log1p(x: Any) -> Any:
    """log(1 + x); missing where x ≤ −1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.greater(x, -1), np.log1p(x), np.nan)


def sqrt(x: Any) -> Any:
    """√x; missing where x < 0."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def abs(x: Any) -> Any:  # noqa: A001 - named as in the language
    """|x|"""
    return np.abs(x)


def floor(x: Any) -> Any:
    """⌊x⌋"""
    return np.floor(x)


def minimum(a: Any, b: Any) -> Any:
    """The smaller; missing where either is."""
    return np.minimum(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger; missing where either is."""
    return np.maximum(a, b)


def clip(x: Any, low: Any, high: Any) -> Any:
    """min(max(x, low), high); missing where any of them is."""
    return np.minimum(np.maximum(x, low), high)


def days(time: Any, utc_offset_hours: Any = 0.0) -> Any:
    """⌊(time + offset) / 86,400,000⌋ of milliseconds since 1970-01-01 UTC."""
    return np.floor((time + utc_offset_hours * HOUR_MS) / DAY_MS)


def hour(time: Any, utc_offset_hours: Any = 0.0) -> Any:
    """Hour of the day, 0–23."""
    return np.floor(mod(time + utc_offset_hours * HOUR_MS, float(DAY_MS)) / HOUR_MS)


def weekday(time: Any, utc_offset_hours: Any = 0.0) -> Any:
    """0 for Monday to 6 for Sunday; 1970-01-01 was a Thursday."""
    return mod(days(time, utc_offset_hours) + 3.0, 7.0)


def is_missing(x: Any) -> Any:
    """True where a number is NaN or a text is ""; a condition is never missing."""
    if _is_text(x):
        return np.asarray(np.equal(x, ""), bool)
    return np.isnan(x)


def if_missing(a: Any, b: Any) -> Any:
    """b where a is missing, else a."""
    return where(is_missing(a), b, a)


def lower(text: Any) -> Any:
    """Lower case of every letter that Unicode gives one."""
    if isinstance(text, str):
        return pc.utf8_lower(pa.scalar(text)).as_py()
    return pc.utf8_lower(pa.array(text, pa.string())).to_numpy(zero_copy_only=False)


def cross(a: Any, b: Any) -> Any:
    """`a + "_x_" + b`; "" where either is missing.

    A whole number is written without a point ("3"), any other with six decimals ("0.500000"), a condition as
    "1" or "0".
    """
    a, b = np.broadcast_arrays(as_text(a), as_text(b))
    absent = np.equal(a, "") | np.equal(b, "")
    return np.where(np.asarray(absent, bool), "", a + "_x_" + b)


def as_text(x: Any) -> np.ndarray:
    if _is_text(x):
        return np.asarray(x, object)
    x = np.asarray(x, np.float64)
    present = np.isfinite(x)
    whole = present & (x == np.floor(x)) & (np.abs(x) < 2**63)
    texts = np.full(x.shape, "", object)
    texts[whole] = pa.array(x[whole].astype(np.int64)).cast(pa.string()).to_numpy(zero_copy_only=False)
    fractions = present & ~whole
    values, places = np.unique(x[fractions], return_inverse=True)
    texts[fractions] = np.array([f"{v:.6f}" for v in values.tolist()], object)[places]
    return texts


def _is_text(x: Any) -> bool:
    return isinstance(x, str) or getattr(x, "dtype", None) == object
