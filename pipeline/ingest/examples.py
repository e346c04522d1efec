"""Arrow columns to serialized tf.Examples, by whole columns and always the same bytes.

tfx-bsl's encoder orders an Example's map by a hash that changes with every run; here the order is fixed, so
that equal rows are equal bytes. The encoding is Protocol Buffers' (protobuf.dev/programming-guides/encoding):
Example {1: Features {1: map of name → Feature {1: BytesList, 2: FloatList, 3: Int64List}}}, with numbers
packed.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_BYTES, _FLOATS, _INTS = b"\x0a", b"\x12", b"\x1a"

# What rows are put together from: the same bytes in every row; a varint a row (uint64 `[rows]`); bytes (uint8
# `[rows, k]`).
_Part = bytes | np.ndarray


def encode_examples(columns: dict[str, pa.Array]) -> pa.BinaryArray:
    """Serializes rows; a missing value and an empty list leave the feature out.

    Args:
      columns: name → `[rows]` of int64, float32, float64 (written as float32), string, or lists of these.

    Returns:
      `[rows]` serialized tf.Examples; within one, single numbers come before texts and lists.
    """
    # kept apart because nothing has to be left out of a number that is always there and always four bytes
    fixed, varying, others = _Rows(), _Rows(), []
    for name in sorted(columns):
        column = columns[name]
        if pt.is_list(column.type):
            lengths = (
                pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
            )
            others.append(_entries(name, column.flatten(), lengths))
        elif pt.is_string(column.type):
            # most texts repeat: each distinct one is encoded once
            encoded = column.dictionary_encode()
            entries = _entries(name, encoded.dictionary, np.ones(len(encoded.dictionary), np.int64))
            others.append(entries.take(encoded.indices).fill_null(b""))
        else:
            _add_number(varying if column.null_count or pt.is_integer(column.type) else fixed, name, column)
    rows = len(next(iter(columns.values())))
    features = pc.binary_join_element_wise(fixed.array(rows), varying.array(rows), *others, b"")
    head = _Rows()
    head.add([b"\x0a", _sizes(features)])
    return pc.binary_join_element_wise(head.array(rows), features, b"")


def _add_number(rows: _Rows, name: str, column: pa.Array) -> None:
    present = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
    values = (column.fill_null(0) if column.null_count else column).to_numpy(zero_copy_only=False)
    if pt.is_floating(column.type):
        content = np.ascontiguousarray(values, "<f4").view(np.uint8).reshape(len(values), 4)
        rows.add([*_front(name, _FLOATS, 4), content], present)
    else:
        value = values.view(np.uint64)
        rows.add([*_front(name, _INTS, _varint_widths(value)), value], present)


def _entries(name: str, values: pa.Array, lengths: np.ndarray) -> pa.Array:
    """Map entries of `lengths[i]` values a row, empty where there are none: `[rows]`."""
    if pt.is_string(values.type):
        kind, texts = _BYTES, values.cast(pa.binary())
        head = _Rows()
        head.add([b"\x0a", _sizes(texts)])
        content = _by_row(pc.binary_join_element_wise(head.array(len(texts)), texts, b""), lengths)
    elif pt.is_floating(values.type):
        kind = _FLOATS
        content = _cut(
            np.ascontiguousarray(values.to_numpy(zero_copy_only=False), "<f4").tobytes(), lengths * 4
        )
    else:
        kind, items = _INTS, _Rows()
        items.add([values.to_numpy(zero_copy_only=False).view(np.uint64)])
        content = _by_row(items.array(len(values)), lengths)
    front = _Rows()
    front.add(_front(name, kind, _sizes(content)), None if lengths.all() else lengths > 0)
    return pc.binary_join_element_wise(front.array(len(content)), content, b"")


def _front(name: str, kind: bytes, size: np.ndarray | int) -> list[_Part]:
    """What stands before the content of a map entry; `size` is the content's, in bytes."""
    size = np.atleast_1d(np.asarray(size, np.uint64))
    key = name.encode()
    parts: list[_Part] = [kind]
    if kind == _BYTES:  # its content is a sequence of fields; that of numbers is one packed field
        parts += [size]
    else:
        parts += [_length_of([b"\x0a", size]) + size, b"\x0a", size]
    feature = _length_of(parts) + size
    before = [b"\x0a", np.array([len(key)], np.uint64), key, b"\x12", feature]
    return [b"\x0a", _length_of([*before, *parts]) + size, *before, *parts]


def _length_of(parts: list[_Part]) -> np.ndarray:
    return sum(
        (np.uint64(len(p)) if isinstance(p, bytes) else _varint_widths(p) for p in parts), np.uint64(0)
    )


class _Rows:
    """Rows of bytes, built side by side as a matrix from which what a row does not use is left out."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._used: list[np.ndarray | None] = []

    def add(self, parts: list[_Part], present: np.ndarray | None = None) -> None:
        """Appends parts to each row, or to those that are `present` (bool `[rows]`)."""
        for part in parts:
            used = None
            if isinstance(part, bytes):
                block = np.frombuffer(part, np.uint8)[None, :]
            elif part.dtype == np.uint8:
                block = part
            else:
                block, used = _varints(part)
            if present is not None:
                used = present[:, None] if used is None else used & present[:, None]
            self._blocks.append(block)
            self._used.append(used)

    def array(self, rows: int) -> pa.BinaryArray:
        """The rows put together."""
        width = sum(block.shape[1] for block in self._blocks)
        content = np.empty((rows, width), np.uint8)
        partly = any(used is not None for used in self._used)
        used_at = np.ones((rows, width), bool) if partly else None
        start = 0
        for block, used in zip(self._blocks, self._used):
            end = start + block.shape[1]
            content[:, start:end] = block
            if used is not None:
                used_at[:, start:end] = used
            start = end
        if used_at is None:
            return _cut(content.tobytes(), np.full(rows, width))
        return _cut(content[used_at].tobytes(), np.count_nonzero(used_at, axis=1))


def _varint_widths(values: np.ndarray) -> np.ndarray:
    widths = np.ones(len(values), np.uint64)
    for bits in range(7, 64, 7):
        longer = values >> np.uint64(bits) > 0
        if not longer.any():
            break
        widths += longer
    return widths


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Base-128 varints of uint64 `[n]`: bytes `[n, widest]` and which of them are used (None: all)."""
    widths = _varint_widths(values)
    widest = int(widths.max(initial=1))
    if widest == 1:
        return values.astype(np.uint8)[:, None], None
    place = np.arange(widest, dtype=np.uint64)
    digits = (values[:, None] >> (place * np.uint64(7))).astype(np.uint8) & np.uint8(0x7F)
    digits |= (place + np.uint64(1) < widths[:, None]).astype(np.uint8) << np.uint8(7)
    used = place < widths[:, None]
    return digits, None if used.all() else used


def _sizes(contents: pa.Array) -> np.ndarray:
    return pc.binary_length(contents).to_numpy(zero_copy_only=False).astype(np.uint64)


def _cut(data: bytes | pa.Buffer, lengths: np.ndarray) -> pa.BinaryArray:
    """Bytes cut into pieces of these lengths."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _by_row(items: pa.Array, lengths: np.ndarray) -> pa.BinaryArray:
    """Joins neighbouring items: the first `lengths[0]` of them, and so on."""
    ends = np.zeros(len(items) + 1, np.int64)
    np.cumsum(_sizes(items), out=ends[1:])
    rows = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=rows[1:])
    # arrays made here start at their buffers' beginning
    return _cut(items.buffers()[2] or b"", np.diff(ends[rows]))
