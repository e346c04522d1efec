"""Named columns to packed inputs, by the same code everywhere."""

import keras
from keras import ops

from mtl_models.inputs.layout import Layout

SIDE_DTYPES = {"request": "int64", "duration": "float32"}


def pack(layout: Layout, columns: dict) -> dict:
    """Packed inputs (see `Layout`) of a batch.

    Args:
        layout: what the packed inputs hold.
        columns: packed inputs, which are returned as they are, or named columns: a categorical feature
            as integer [B] or [B, 1] of ids counted from 0 within the feature, a multi-valued one as
            [B, L] with L at most its length, a numeric feature as [B] or [B, 1], a vector as [B, dim], or
            as integer [B] of its number where the model holds it.
            Ids outside the feature's range are no value, as -1 is; a row of NaN is no vector. Side inputs
            are [B] or [B, 1], under the same names in both forms.

    Raises:
        TypeError: if `columns` is no dict, or ids are no integers.
        KeyError: if a feature's column is missing.
        ValueError: if a column has another shape than the layout asks for.
    """
    if not isinstance(columns, dict):
        raise TypeError(
            f"inputs must be a dict of columns ({', '.join(layout.feature_names[:3])}, ...) or of packed "
            f"inputs; they are of type {type(columns).__name__}"
        )
    packed = {}
    if layout.categorical:
        packed["ids"] = (
            _of_width(_integers(columns["ids"], "ids"), "ids", layout.id_slots)
            if "ids" in columns
            else _pack_ids(layout, columns)
        )
    if layout.numbers:
        packed["numbers"] = (
            _of_width(ops.cast(columns["numbers"], "float32"), "numbers", len(layout.numbers))
            if "numbers" in columns
            else _pack_numbers(layout, columns)
        )
    for vector in layout.vectors:
        values = columns[vector.key] if vector.key in columns else _column(columns, vector.name)
        if vector.rows:
            packed[vector.key] = ops.reshape(_integers(values, vector.name), (-1,))
            continue
        packed[vector.key] = _of_width(ops.cast(values, "float32"), vector.name, vector.dim)
    for name in layout.side:
        if name in columns:  # whoever needs one that is not there says so
            packed[name] = ops.reshape(ops.cast(columns[name], SIDE_DTYPES[name]), (-1,))
    return packed


def _pack_ids(layout: Layout, columns: dict):
    filled = {}
    for feature in layout.categorical:
        ids = _integers(_column(columns, feature.name), feature.name)
        ids = _columns(ids, feature.length)
        width = ids.shape[1]
        if width is None:  # traced for lists of several lengths
            ids = ops.pad(ids, ((0, 0), (0, feature.length)), constant_values=-1)[:, : feature.length]
            width = feature.length
            ids = ops.reshape(ids, (-1, width))
        if width > feature.length:
            raise ValueError(
                f"feature '{feature.name}': {width} values a row, but the layout holds {feature.length}"
            )
        known = ops.logical_and(ids >= 0, ids < feature.rows)
        rows = ops.where(known, ids + feature.first_row, -ops.ones_like(ids))
        filled[feature.first_slot] = ops.pad(rows, ((0, 0), (0, feature.length - width)), constant_values=-1)
    parts, column = [], 0
    for first_slot in sorted(filled):
        rows = filled[first_slot]
        # a gap in the layout (a feature that was dropped) holds no value
        gap = first_slot - column
        parts.append(ops.pad(rows, ((0, 0), (gap, 0)), constant_values=-1) if gap else rows)
        column = first_slot + rows.shape[1]
    return ops.concatenate(parts, axis=1)


def _pack_numbers(layout: Layout, columns: dict):
    parts = []
    for name in layout.numbers:
        values = ops.cast(_column(columns, name), "float32")
        parts.append(_of_width(_columns(values, 1), name, 1))
    return ops.concatenate(parts, axis=1)


def _integers(ids, name: str):
    ids = ops.convert_to_tensor(ids)
    dtype = keras.backend.standardize_dtype(ids.dtype)
    if "int" not in dtype:
        raise TypeError(f"feature '{name}': ids must be integers, and are {dtype}")
    return ops.cast(ids, "int64")


def _columns(values, width: int):
    """[B] as [B, 1]; and of what TensorFlow traced for both, whose rank is not known, [B, width]."""
    if getattr(values.shape, "rank", 0) is None:
        return ops.reshape(values, (-1, width))
    return ops.expand_dims(values, 1) if len(values.shape) == 1 else values


def _of_width(values, name: str, width: int):
    if len(values.shape) != 2 or values.shape[1] not in (None, width):
        shape = tuple("B" if size is None else size for size in values.shape)
        raise ValueError(f"input '{name}' must have {width} values a row; its shape is {shape}")
    return values


def _column(columns: dict, name: str):
    if name not in columns:
        raise KeyError(f"input '{name}' is missing; the batch has {', '.join(sorted(columns))}")
    return columns[name]
