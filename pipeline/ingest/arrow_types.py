"""Arrow columns, as Parquet and JSON Lines give them, to the types of a recipe."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.ingest.texts import (
    Parsed,
    blank_missing,
    element,
    finite,
    floor_divide,
    list_elements,
    merge,
    null_missing,
    parse_texts,
    scale_times,
)
from pipeline.recipe.parts import Column

# What each type of a recipe is in memory; missing values are nulls.
ARROW_TYPES: dict[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "time": pa.int64(),
    "date": pa.int64(),
    "list[int]": pa.list_(pa.int64()),
    "list[string]": pa.list_(pa.string()),
    "vector": pa.list_(pa.float32()),
}


def is_text(kind: pa.DataType) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind) or pt.is_decimal(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


def fits(kind: pa.DataType, column: Column) -> bool:
    """Whether a column of this Arrow type can hold what the recipe says, value by value."""
    if pt.is_dictionary(kind):
        kind = kind.value_type
    if pt.is_null(kind):
        return True
    match column.type:
        case "int" | "float":
            return _is_number(kind)
        case "string":
            return is_text(kind) or pt.is_integer(kind)
        case "time":
            if column.unit == "iso" and is_text(kind):
                return True
            return pt.is_timestamp(kind) or pt.is_date(kind) or (column.unit != "iso" and _is_number(kind))
        case "date":
            return pt.is_timestamp(kind) or pt.is_date(kind) or is_text(kind)
    if is_text(kind):
        return column.separator is not None
    if not _is_list(kind):
        return False
    element = kind.value_type
    if column.type == "list[string]":
        return is_text(element) or pt.is_integer(element) or pt.is_null(element)
    return _is_number(element) or pt.is_null(element)


def convert(array: pa.Array, column: Column) -> Parsed:
    """An Arrow column of a fitting type → the recipe's type, as `parse_texts` reads the same values as texts.

    Args:
      array: `[rows]`, of a type that `fits`.
      column: its part of the recipe.

    Returns:
      The typed array, and which rows hold a value that cannot be read (None: none does).
    """
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind, target = array.type, ARROW_TYPES[column.type]
    if pt.is_null(kind):
        return pa.nulls(len(array), target), None
    if is_text(kind):
        return _from_text(array, column)
    if column.type == "string":
        return blank_missing(array.cast(pa.string()), column.missing), None
    if _is_list(kind):
        return _list(array, column)
    if column.type == "time":
        values, bad = _times(array, column)
    elif column.type == "date":
        days = array.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
        values, bad = floor_divide(days, 86_400_000_000), None
    else:
        values, bad = _numbers(array, target)
    return null_missing(values, column), bad


def _from_text(array: pa.Array, column: Column) -> Parsed:
    bad = None
    try:
        # by way of bytes, so that a file's word for it is not taken
        array = array.cast(pa.large_binary()).cast(pa.large_string()).cast(pa.string())
    except pa.ArrowInvalid:
        array, bad = _decoded(array.cast(pa.large_binary()))
    texts, wrong = parse_texts(blank_missing(array, column.missing), column)
    return texts, merge(bad, wrong)


def _decoded(array: pa.Array) -> Parsed:
    """Bytes of which some are no UTF-8: those rows are bad."""
    texts: list[str | None] = []
    bad = np.zeros(len(array), bool)
    for i, value in enumerate(array.to_pylist()):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(None)
            bad[i] = True
    return pa.array(texts, pa.string()), bad


def _numbers(array: pa.Array, target: pa.DataType) -> Parsed:
    if pt.is_boolean(array.type):
        array = array.cast(pa.int8())
    if pt.is_decimal(array.type):
        array = array.cast(pa.float64())
    if target == pa.float64():
        return finite(array.cast(pa.float64(), safe=False), None)
    if pt.is_uint64(array.type):
        beyond = pc.greater(array, pa.scalar(2**63 - 1, pa.uint64())).fill_null(False)
        mask = beyond.to_numpy(zero_copy_only=False)
        return array.cast(pa.int64(), safe=False), mask if mask.any() else None
    if not pt.is_floating(array.type):
        return array.cast(pa.int64()), None
    values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    absent = np.isnan(values)
    bad = ~absent & ~(np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53))
    whole = np.where(absent | bad, 0, values).astype(np.int64)
    return pa.array(whole, mask=absent), bad if bad.any() else None


def _times(array: pa.Array, column: Column) -> Parsed:
    kind = array.type
    if pt.is_timestamp(kind):
        numbers, unit = array.cast(pa.int64()), kind.unit
    elif pt.is_date(kind):
        numbers, unit = array.cast(pa.timestamp("ms")).cast(pa.int64()), "ms"
    elif pt.is_floating(kind) or pt.is_decimal(kind):
        # through microseconds: a float of seconds holds no more
        factor = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[column.unit]
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False) * factor
        absent = np.isnan(values)
        bad = np.abs(values) > 9e18
        numbers = pa.array(np.where(absent | bad, 0, np.round(values)).astype(np.int64), mask=absent)
        times, beyond = scale_times(numbers, "us")
        return times, merge(beyond, bad if bad.any() else None)
    else:
        numbers, bad = _numbers(array, pa.int64())
        times, beyond = scale_times(numbers, column.unit)
        return times, merge(bad, beyond)
    return scale_times(numbers, unit)


def _list(array: pa.Array, column: Column) -> Parsed:
    rows = len(array)
    owners = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    elements = array.flatten()
    if pt.is_fixed_size_list(array.type):
        owners = np.repeat(np.flatnonzero(array.is_valid()), array.type.list_size)
    values, bad = convert(elements, element(column))
    found, wrong = list_elements(values, owners, rows, column)
    return found, merge(wrong, None if bad is None else np.bincount(owners[bad], minlength=rows) > 0)
