"""Arrow columns to serialized tf.Examples, by whole columns and always the same bytes.

tfx-bsl's encoder orders an Example's map by a hash that changes with every run; here the order is fixed, so
that equal rows are equal bytes. The encoding is Protocol Buffers' (protobuf.dev/programming-guides/encoding):
Example {1: Features {1: map of name → Feature {1: BytesList, 2: FloatList, 3: Int64List}}}, with numbers
packed.

Each feature becomes a column of map entries, which are then joined row by row. Arrow joins and takes many
short texts in a fraction of the time that it takes NumPy to pick bytes by a mask, so what differs in length
is encoded in groups that do not, or once for each distinct value, and put in order by `take`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_BYTES, _FLOATS, _INTS = b"\x0a", b"\x12", b"\x1a"
# The first numbers that take another byte as a varint.
_LONGER = np.uint64(1) << np.arange(7, 64, 7, dtype=np.uint64)


def encode_examples(columns: dict[str, pa.Array]) -> pa.BinaryArray:
    """Serializes rows; a missing value and an empty list leave the feature out.

    Args:
      columns: name → `[rows]` of int64, float32, float64 (written as float32), string, or lists of these.

    Returns:
      `[rows]` serialized tf.Examples. Within one, features are in order of their kind (float, int, string,
      list) and then name, whatever rows are beside it.
    """
    names = sorted(columns)
    entries = _floats({n: columns[n] for n in names if pt.is_floating(columns[n].type)})
    entries += [_ints(n, columns[n]) for n in names if pt.is_integer(columns[n].type)]
    entries += [_texts(n, columns[n]) for n in names if pt.is_string(columns[n].type)]
    entries += [_lists(n, columns[n]) for n in names if pt.is_list(columns[n].type)]
    sizes = sum(map(_sizes, entries), np.zeros(len(columns[names[0]]), np.int64))
    head = _by_size(sizes, lambda size: b"\x0a" + _varint(size))
    return pc.binary_join_element_wise(head, *entries, b"", null_handling="skip")


def _floats(columns: dict[str, pa.Array]) -> list[pa.Array]:
    """Map entries of columns in order; those of neighbours without missing values together."""
    found: list[pa.Array] = []
    whole: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        if not column.null_count:
            whole[name] = column.to_numpy()
            continue
        found += [_always(whole)] if whole else []
        whole = {}
        given = _always({name: column.drop_null().to_numpy()})
        size = len(_front(name, _FLOATS, 4)) + 4
        found.append(_cut(given.buffers()[2], column.is_valid().to_numpy(zero_copy_only=False) * size))
    return found + ([_always(whole)] if whole else [])


def _always(columns: dict[str, np.ndarray]) -> pa.Array:
    """Map entries of floats that every row has, which are all of one length: `[rows]`."""
    template, places = b"", []
    for name in columns:
        template += _front(name, _FLOATS, 4)
        places.append(len(template))
        template += bytes(4)
    kind = np.dtype({"names": list(columns), "formats": ["<f4"] * len(places), "offsets": places})
    rows = len(next(iter(columns.values())))
    content = np.tile(np.frombuffer(template, np.uint8), rows)
    values = content.view(kind)
    for name, column in columns.items():
        values[name] = column.astype("<f4", copy=False)
    return _cut(content, np.full(rows, len(template)))


def _ints(name: str, column: pa.Array) -> pa.Array:
    def front(width: int) -> bytes:
        return _front(name, _INTS, width)

    rows = len(column)
    values = column.drop_null().to_numpy()
    if not len(values):
        return pa.nulls(rows, pa.binary())
    low, high = int(values.min()), int(values.max())
    if high - low < rows // 2:  # most such numbers repeat
        entries = _varints(low + np.arange(high - low + 1), front)
        return entries.take(pc.subtract(column, low))
    entries = _varints(values, front)
    if not column.null_count:
        return entries
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return entries.take(pa.array(np.cumsum(present) - 1, mask=~present))


def _varints(values: np.ndarray, front: Callable[[int], bytes]) -> pa.Array:
    """Base-128 varints of int64 `[n]`, each after the front for its width in bytes: `[n]`."""
    values = values.view(np.uint64)
    widths = (1 + np.searchsorted(_LONGER, values, side="right")).astype(np.uint8)
    blocks, lengths = [], []
    for width in np.flatnonzero(np.bincount(widths)).tolist():
        chosen = values[widths == width]
        before = front(width)
        block = np.empty((len(chosen), len(before) + width), np.uint8)
        block[:, : len(before)] = np.frombuffer(before, np.uint8)
        for digit in range(width):
            more = np.uint8(0x80 if digit + 1 < width else 0)
            block[:, len(before) + digit] = (chosen >> np.uint64(7 * digit)).astype(np.uint8) | more
        blocks.append(block.reshape(-1))
        lengths.append(np.full(len(chosen), block.shape[1]))
    if not blocks:
        return pa.array([], pa.binary())
    by_width = _cut(np.concatenate(blocks), np.concatenate(lengths))
    if len(blocks) == 1:
        return by_width
    places = np.empty(len(values), np.int64)
    places[np.argsort(widths, kind="stable")] = np.arange(len(values))
    return by_width.take(pa.array(places))


def _texts(name: str, column: pa.Array) -> pa.Array:
    encoded = column.dictionary_encode()  # most texts repeat
    return _feature(name, _BYTES, _prefixed(encoded.dictionary)).take(encoded.indices)


def _lists(name: str, column: pa.Array) -> pa.Array:
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.flatten()
    if pt.is_string(values.type):
        return _feature(name, _BYTES, _by_row(_prefixed(values), lengths))
    numbers = values.to_numpy(zero_copy_only=False)
    if pt.is_floating(values.type):
        return _feature(name, _FLOATS, _cut(np.ascontiguousarray(numbers, "<f4"), lengths * 4))
    return _feature(name, _INTS, _by_row(_varints(numbers, lambda _: b""), lengths))


def _prefixed(texts: pa.Array) -> pa.Array:
    """Texts as values of a BytesList."""
    texts = texts.cast(pa.binary())
    before = _by_size(_sizes(texts), lambda size: b"\x0a" + _varint(size))
    return pc.binary_join_element_wise(before, texts, b"")


def _feature(name: str, kind: bytes, contents: pa.Array) -> pa.Array:
    """Map entries of these contents, none of an empty one."""
    before = _by_size(_sizes(contents), lambda size: _front(name, kind, size) if size else b"")
    return pc.binary_join_element_wise(before, contents, b"")


def _by_size(sizes: np.ndarray, made: Callable[[int], bytes]) -> pa.Array:
    """What is made of each size; of equal ones once."""
    encoded = pa.array(sizes).dictionary_encode()
    return pa.array([made(s) for s in encoded.dictionary.to_pylist()], pa.binary()).take(encoded.indices)


@lru_cache(maxsize=1 << 16)
def _front(name: str, kind: bytes, size: int) -> bytes:
    """What stands before the content of a map entry; `size` is the content's, in bytes."""
    key, value = name.encode(), _varint(size)
    if kind != _BYTES:  # the content of texts is a sequence of fields; that of numbers is one packed field
        value = _varint(len(value) + 1 + size) + b"\x0a" + value
    value = kind + value
    before = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value) + size) + value
    return b"\x0a" + _varint(len(before) + size) + before


def _varint(value: int) -> bytes:
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _sizes(contents: pa.Array) -> np.ndarray:
    """int32 `[n]`, 0 of a null."""
    return pc.binary_length(contents).fill_null(0).to_numpy(zero_copy_only=False)


def _cut(data: np.ndarray | pa.Buffer, lengths: np.ndarray) -> pa.BinaryArray:
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
