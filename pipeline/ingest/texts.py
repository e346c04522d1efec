"""Texts to typed values, by whole columns. What a text means depends on that text alone, so that the
same file read in other chunks gives the same rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.recipe.parts import Column

TO_MS = {"s": Fraction(1000), "ms": Fraction(1), "us": Fraction(1, 1000), "ns": Fraction(1, 1_000_000)}
MAX_MS = 8_640_000_000_000_000  # year 275,760: whatever is beyond is not a time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT = r"^-?[0-9]{1,18}$"
_FLOAT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"

# Texts of numbers that are none to look at.
_WORDS = {"true": 1, "false": 0, "nan": None, "+nan": None, "-nan": None}

# A pair of the typed array and, per row, whether the text could not be read (None: all could be).
Parsed = tuple[pa.Array, np.ndarray | None]


def blank_missing(texts: pa.Array, missing: list[str]) -> pa.Array:
    """Texts without the white space around them; nulls where that leaves one that stands for a missing value,
    as the empty text always does."""
    texts = pc.utf8_trim_whitespace(texts)
    if any(missing):
        return _without(texts, pc.is_in(texts, value_set=pa.array(["", *missing], texts.type)))
    empty = pc.equal(pc.binary_length(texts), 0)
    return _without(texts, empty) if pc.any(empty).as_py() else texts


def _without(texts: pa.Array, these: pa.Array) -> pa.Array:
    # an array of nulls: with a null scalar, Arrow 18's if_else makes a broken array of a sliced one
    return pc.if_else(these, pa.nulls(len(texts), texts.type), texts)


def parse_texts(texts: pa.Array, column: Column) -> Parsed:
    """Reads a column of texts (as `blank_missing` leaves them) as the column's type.

    `true` and `false` are the numbers 1 and 0; NaN is a missing number; a list without values is missing.
    """
    match column.type:
        case "int":
            values, bad = _mostly(texts, _INT, lambda t: t.cast(pa.int64()), _one_int, pa.int64())
        case "float":
            values, bad = finite(
                *_mostly(texts, _FLOAT, lambda t: t.cast(pa.float64()), _one_float, pa.float64())
            )
        case "time":
            values, bad = _times(texts, column.unit)
        case "date":
            values, bad = _by_distinct(texts, _one_date, pa.int64())
        case "list[int]" | "list[string]" | "vector":
            return _lists(texts, column)
        case _:
            return texts, None
    return null_missing(values, column), bad


def null_missing(values: pa.Array, column: Column) -> pa.Array:
    """Nulls where a typed number is what a text of `missing` stands for, however it was written."""
    texts = [text for text in column.missing if text]
    if not texts or not len(values):
        return values
    same, _ = parse_texts(pa.array(texts, pa.string()), column.model_copy(update={"missing": []}))
    same = same.drop_null()
    return _without(values, pc.is_in(values, value_set=same)) if len(same) else values


def list_elements(values: pa.Array, owners: np.ndarray, rows: int, column: Column) -> Parsed:
    """Typed elements and the row of each (ascending) → lists. Missing elements are left out of a list; a
    vector with one cannot be read. A row without any is missing."""
    wrong = None
    if values.null_count:
        present = values.is_valid().to_numpy(zero_copy_only=False)
        if column.type == "vector":
            wrong = np.bincount(owners[~present], minlength=rows) > 0
        owners, values = owners[present], values.drop_null()
    if column.type == "vector":
        values = values.cast(pa.float32(), safe=False)
    lengths = np.bincount(owners, minlength=rows)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(lengths == 0)), wrong


def element(column: Column) -> Column:
    """What a list's elements are by themselves."""
    kind = {"list[int]": "int", "list[string]": "string", "vector": "float"}[column.type]
    return Column(type=kind, missing=column.missing)


def finite(numbers: pa.Array, bad: np.ndarray | None) -> Parsed:
    """NaN is a missing number; an infinite one is no number at all."""
    values = numbers.to_numpy(zero_copy_only=False)
    odd = ~np.isfinite(values)
    if numbers.null_count != odd.sum():
        infinite = np.isinf(values)
        numbers = pa.array(values, numbers.type, mask=odd)
        bad = merge(bad, infinite)
    return numbers, bad


def merge(bad: np.ndarray | None, more: np.ndarray | None) -> np.ndarray | None:
    """Either of two sets of rows."""
    if bad is None or more is None:
        return more if bad is None else bad
    return bad | more


def _mostly(
    texts: pa.Array,
    plain: str,
    cast: Callable[[pa.Array], pa.Array],
    one: Callable[[str], object],
    kind: pa.DataType,
) -> Parsed:
    """Plain texts by Arrow; the few others by their distinct values."""
    is_plain = pc.match_substring_regex(texts, plain)
    values = cast(_without(texts, pc.invert(is_plain)))
    if values.null_count == texts.null_count:
        return values, None
    others, bad = _by_distinct(_without(texts, is_plain), one, kind)
    return pc.coalesce(values, others), bad


def _by_distinct(texts: pa.Array, one: Callable[[str], object], kind: pa.DataType) -> Parsed:
    """`one` reads each distinct text, and raises ValueError for one that it cannot."""
    encoded = texts.dictionary_encode()
    values: list[object] = []
    wrong: list[bool] = []
    for text in encoded.dictionary.to_pylist():
        try:
            values.append(one(text))
            wrong.append(False)
        except (ValueError, OverflowError):
            values.append(None)
            wrong.append(True)
    found = pa.array(values, kind).take(encoded.indices)
    if not any(wrong):
        return found, None
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return found, np.append(np.array(wrong), False)[indices]


def _one_int(text: str) -> int | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.fullmatch(r"[+-]?[0-9]+", text):
        value = int(text)
        if -(2**63) <= value < 2**63:
            return value
    elif re.fullmatch(_FLOAT[1:-1], text) and float(text).is_integer() and abs(float(text)) < 2**53:
        return int(float(text))
    raise ValueError(text)


def _one_float(text: str) -> float | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _one_date(text: str) -> int:
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]|$)", text):
        raise ValueError(text)
    return _one_iso(text) // 86_400_000


def _times(texts: pa.Array, unit: str) -> Parsed:
    if unit == "iso":
        return _iso_times(texts)

    def one(text: str) -> int | None:
        if _WORDS.get(text.lower(), 0) is None:
            return None
        if not re.fullmatch(_FLOAT[1:-1], text):
            raise ValueError(text)
        value = math.floor(Fraction(text) * TO_MS[unit])
        if abs(value) > MAX_MS:
            raise ValueError(text)
        return value

    is_plain = pc.match_substring_regex(texts, _INT)
    scaled, beyond = scale_times(_without(texts, pc.invert(is_plain)).cast(pa.int64()), unit)
    others, wrong = _by_distinct(_without(texts, is_plain), one, pa.int64())
    return pc.coalesce(scaled, others), merge(beyond, wrong)


def scale_times(numbers: pa.Array, unit: str) -> Parsed:
    """Int64 numbers since 1970 in a unit → whole milliseconds, rounded down."""
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    factor = TO_MS[unit]
    beyond = np.abs(values.astype(np.float64)) > float(MAX_MS / factor)
    # wraps only where `beyond` says so
    scaled = values * factor.numerator if factor >= 1 else values // factor.denominator
    nulls = numbers.is_null().to_numpy(zero_copy_only=False) | beyond
    return pa.array(scaled, pa.int64(), mask=nulls), beyond if beyond.any() else None


def _iso_times(texts: pa.Array) -> Parsed:
    def read(plain: pa.Array) -> pa.Array:
        return floor_divide(plain.cast(pa.timestamp("us")).cast(pa.int64()), 1000)

    try:
        return _mostly(texts, _ISO, read, _one_iso, pa.int64())
    except pa.ArrowInvalid:  # some text is no day of the calendar
        return _by_distinct(texts, _one_iso, pa.int64())


def _one_iso(text: str) -> int:
    if text.isdigit() and len(text) > 8:  # Python takes 1700010140000 for midnight of 1700-01-01
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def floor_divide(numbers: pa.Array, by: int) -> pa.Array:
    """Int64 division that rounds down (Arrow's own rounds towards zero)."""
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False) // by
    return pa.array(values, pa.int64(), mask=numbers.is_null().to_numpy(zero_copy_only=False))


def _lists(texts: pa.Array, column: Column) -> Parsed:
    if column.type == "vector":
        inner = pc.utf8_trim(texts, "[]() \t")
        lists = pc.split_pattern_regex(inner, r"[,\s]+")
    else:
        lists = pc.split_pattern(texts, column.separator)
    elements = blank_missing(lists.flatten(), column.missing)
    owners = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    if elements.null_count and column.type == "vector":  # "1, 2," has a separator too many, and no value
        filled = pc.not_equal(pc.utf8_trim_whitespace(lists.flatten()), "")
        elements, owners = elements.filter(filled), owners[filled.to_numpy(zero_copy_only=False)]
    values, bad = parse_texts(elements, element(column))
    found, wrong = list_elements(values, owners, len(texts), column)
    return found, merge(wrong, None if bad is None else np.bincount(owners[bad], minlength=len(texts)) > 0)
