"""Named columns to packed inputs, by the same code everywhere."""

from keras import ops

from mtl_models.inputs.layout import Layout

SIDE_DTYPES = {"request": "int64", "duration": "float32"}


def pack(layout: Layout, columns: dict) -> dict:
    """Packed inputs (see `Layout`) of a batch.

    Args:
        layout: what the packed inputs hold.
        columns: packed inputs, which are returned as they are, or named columns: a categorical feature
            as integer [B] or [B, 1] of ids counted from 0 within the feature, a multi-valued one as
            [B, L] with L at most its length, a numeric feature as [B] or [B, 1], a vector as [B, dim].
            Ids outside the feature's range are no value, as -1 is; a row of NaN is no vector. Side inputs
            are [B] or [B, 1], under the same names in both forms.

    Raises:
        KeyError: if a feature's column is missing.
        ValueError: if a multi-valued column is longer than the layout allows.
    """
    packed = {}
    if layout.categorical:
        packed["ids"] = ops.cast(columns["ids"], "int64") if "ids" in columns else _pack_ids(layout, columns)
    if layout.numbers:
        packed["numbers"] = (
            ops.cast(columns["numbers"], "float32")
            if "numbers" in columns
            else _pack_numbers(layout, columns)
        )
    for vector in layout.vectors:
        values = columns[vector.key] if vector.key in columns else _column(columns, vector.name)
        packed[vector.key] = ops.cast(values, "float32")
    for name in layout.side:
        if name in columns:  # whoever needs one that is not there says so
            packed[name] = ops.reshape(ops.cast(columns[name], SIDE_DTYPES[name]), (-1,))
    return packed


def _pack_ids(layout: Layout, columns: dict):
    filled = {}
    for feature in layout.categorical:
        ids = ops.cast(_column(columns, feature.name), "int64")
        if len(ids.shape) == 1:
            ids = ops.expand_dims(ids, 1)
        width = ids.shape[1]
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
    parts = [ops.cast(_column(columns, name), "float32") for name in layout.numbers]
    return ops.concatenate([ops.reshape(part, (-1, 1)) for part in parts], axis=1)


def _column(columns: dict, name: str):
    if name not in columns:
        raise KeyError(f"input '{name}' is missing; the batch has {', '.join(sorted(columns))}")
    return columns[name]
