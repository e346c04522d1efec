"""Arrow columns to serialized tf.Examples, by whole columns and always the same bytes.

tfx-bsl's encoder orders an Example's map by a hash that changes with every run; here features are in the order of
their names, so that equal rows are equal bytes. The encoding is Protocol Buffers' (protobuf.dev/programming-guides/
encoding): Example {1: Features {1: map of name → Feature {1: BytesList, 2: FloatList, 3: Int64List}}}, numbers packed.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


def encode_examples(columns: dict[str, pa.Array]) -> pa.BinaryArray:
    """Serializes rows; a missing value and an empty list leave the feature out.

    Args:
      columns: name → `[rows]` of int64, float32, float64 (written as float32), string, or lists of these.

    Returns:
      `[rows]` serialized tf.Examples.
    """
    entries = []
    for name in sorted(columns, key=str.encode):
        key = _message(b"\x0a", name.encode())
        feature = _feature(columns[name])
        entry = _tagged(b"\x0a", pc.binary_join_element_wise(key, _tagged(b"\x12", feature), b""))
        absent = pc.equal(pc.binary_length(feature), 0)
        entries.append(pc.if_else(absent, b"", entry) if pc.any(absent).as_py() else entry)
    return _tagged(b"\x0a", pc.binary_join_element_wise(*entries, b""))


def _feature(column: pa.Array) -> pa.Array:
    """Serialized Feature messages, empty where there is no value."""
    if pt.is_list(column.type):
        values = column.flatten()
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    else:
        values = column.drop_null()
        lengths = column.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    if pt.is_string(values.type):
        kind, items = b"\x0a", _tagged(b"\x0a", values.cast(pa.binary()))
        content = _by_row(items, lengths)
    elif pt.is_floating(values.type):
        floats = np.ascontiguousarray(values.to_numpy(zero_copy_only=False), "<f4")
        kind, content = b"\x12", _tagged(b"\x0a", _cut(floats.tobytes(), lengths * 4))
    else:
        data, widths = _varints(values.to_numpy(zero_copy_only=False).view(np.uint64))
        kind, content = b"\x1a", _tagged(b"\x0a", _by_row(_cut(data, widths), lengths))
    if not lengths.all():
        return pc.if_else(pa.array(lengths > 0), _tagged(kind, content), b"")
    return _tagged(kind, content)


def _message(tag: bytes, content: bytes) -> bytes:
    data, _ = _varints(np.array([len(content)], np.uint64))
    return tag + data + content


def _tagged(tag: bytes, contents: pa.Array) -> pa.Array:
    """A length-delimited field around each of the contents."""
    lengths = pc.binary_length(contents).to_numpy(zero_copy_only=False).astype(np.uint64)
    data, widths = _varints(lengths)
    return pc.binary_join_element_wise(tag, _cut(data, widths), contents, b"")


def _varints(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Base-128 varints of uint64 `[n]`, one after another, and each one's width in bytes."""
    widths = np.ones(len(values), np.int64)
    for bits in range(7, 64, 7):
        longer = values >> np.uint64(bits) > 0
        if not longer.any():
            break
        widths += longer
    most = int(widths.max(initial=1))
    if most == 1:
        return values.astype(np.uint8).tobytes(), widths
    place = np.arange(most)
    digits = (values[:, None] >> (place * 7).astype(np.uint64)).astype(np.uint8) & 0x7F
    digits |= (place < widths[:, None] - 1).astype(np.uint8) << 7
    return digits[place < widths[:, None]].tobytes(), widths


def _cut(data: bytes | pa.Buffer, lengths: np.ndarray) -> pa.BinaryArray:
    """Bytes cut into pieces of these lengths."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _by_row(items: pa.Array, lengths: np.ndarray) -> pa.BinaryArray:
    """Joins neighbouring items: the first `lengths[0]` of them, and so on."""
    ends = np.zeros(len(items) + 1, np.int64)
    np.cumsum(pc.binary_length(items).to_numpy(zero_copy_only=False), out=ends[1:])
    rows = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=rows[1:])
    # arrays made here start at their buffers' beginning
    return _cut(items.buffers()[2] or b"", np.diff(ends[rows]))
