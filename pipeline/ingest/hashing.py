"""Hashes of whole columns that are the same on every machine and in every version of every library.

Whole numbers go through SplitMix64's finalizer (Steele, Lea & Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). Texts are first the polynomial Σ (byteᵢ + 1)·Pⁱ mod 2^64 over their UTF-8 bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x100000001B3)  # that of FNV-1a, 64 bits
_NULL = np.uint64(0x6E756C6C)


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer: a bijection of uint64 `[rows]` that spreads every bit."""
    z = values.astype(np.uint64, copy=True) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def unit(hashes: np.ndarray) -> np.ndarray:
    """uint64 to float64 in [0, 1), from the highest 53 bits."""
    return (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53


def hash_column(column: pa.Array) -> np.ndarray:
    """uint64 `[rows]` of a column of numbers or texts; a missing value has a hash of its own."""
    if pt.is_string(column.type):
        values = _hash_texts(column.cast(pa.binary()))
    elif pt.is_floating(column.type):
        # +0.0 makes one zero of the two
        values = (column.fill_null(0).to_numpy(zero_copy_only=False) + 0.0).view(np.uint64)
    else:
        values = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    return mix(np.where(nulls, mix(np.full(1, _NULL))[0], mix(values)))


def hash_columns(columns: list[pa.Array]) -> np.ndarray:
    """uint64 `[rows]` of the values together, in this order."""
    total = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        total = mix(total ^ hash_column(column))
    return total


def hash_text(text: str) -> np.uint64:
    """The hash that `hash_column` gives a text."""
    return hash_column(pa.array([text]))[0]


def row_ids(file: str, positions: np.ndarray) -> np.ndarray:
    """A stable id of each row from its place in the source: int64 `[rows]`, not negative.

    It is SplitMix64 of (hash of the file's path below the input folder + row number), without its highest
    bit.
    """
    return (mix(hash_text(file) + positions.astype(np.uint64) * _GOLDEN) >> np.uint64(1)).astype(np.int64)


def _hash_texts(texts: pa.Array) -> np.ndarray:
    rows = len(texts)
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + rows + 1].astype(
        np.int64
    )
    data = texts.buffers()[2]
    if data is None or offsets[-1] == offsets[0]:
        return np.zeros(rows, np.uint64)
    content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    offsets -= offsets[0]
    lengths = np.diff(offsets)
    powers = np.ones(lengths.max(), np.uint64)
    powers[1:] = _PRIME
    powers = np.multiply.accumulate(powers)
    place = np.arange(len(content)) - np.repeat(offsets[:-1], lengths)
    sums = np.zeros(len(content) + 1, np.uint64)
    np.cumsum((content.astype(np.uint64) + np.uint64(1)) * powers[place], out=sums[1:])
    return sums[offsets[1:]] - sums[offsets[:-1]]
