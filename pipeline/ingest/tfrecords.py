"""TFRecord files: each record is length, CRC of the length, data, CRC of the data
(tensorflow/core/lib/io)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip, isal_zlib

_CHUNK = 1 << 19
_FRONT = struct.Struct("<Q4s")  # length, its CRC
_FRONT_BYTES, _BACK_BYTES = _FRONT.size, 4


class TFRecordWriter:
    """Writes one gzip file at level 1, the same bytes for the same records.

    The file appears under its name only once it is whole, so that one written again, or half, is never seen.
    """

    def __init__(self, path: Path):
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._raw = self._partial.open("wb")
        # compressing lets go of Python's lock; ISA-L does it in a quarter of zlib's time
        self._thread = ThreadPoolExecutor(1)
        self._compressing: Future[int] | None = None
        self._file = igzip.IGzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=1, mtime=0)

    def write(self, records: pa.Array) -> None:
        """Appends records, a binary array."""
        offsets = np.frombuffer(records.buffers()[1], np.int32)
        offsets = offsets[records.offset : records.offset + len(records) + 1]
        lengths = np.diff(offsets)
        distinct, places = np.unique(lengths, return_inverse=True)
        fronts = np.zeros(len(records), [("length", "<u8"), ("crc", "<u4")])
        fronts["length"] = lengths
        fronts["crc"] = _masked([google_crc32c.value(h.tobytes()) for h in distinct.astype("<u8")])[places]
        # the one call a row in Python: no library at hand takes a CRC of every element
        content, bounds = (records.buffers()[2] or pa.py_buffer(b"")).to_pybytes(), offsets.tolist()
        backs = _masked([google_crc32c.value(content[i:j]) for i, j in zip(bounds, bounds[1:])])
        framed = pc.binary_join_element_wise(_fixed(fronts), records, _fixed(backs), b"")
        self._settle()
        self._compressing = self._thread.submit(self._file.write, framed.buffers()[2] or b"")

    def _settle(self) -> None:
        """Waits for what was written before; raises what went wrong with it."""
        if self._compressing is not None:
            self._compressing.result()

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._settle()
            self._file.close()
            self._raw.close()
        except BaseException:
            self._partial.unlink()
            raise
        finally:
            self._thread.shutdown()
        if kind is None:
            os.replace(self._partial, self._path)
        else:
            self._partial.unlink()


def read_records(file: BinaryIO, name: str) -> Iterator[list[bytes]]:
    """Records of a TFRecord file in order, those of some megabytes at a time; all CRCs are checked.

    Args:
      file: is read on from where it stands.
      name: of the file; `.gz` says that it is compressed.

    Raises:
      ValueError: it is truncated or corrupted, or no such file.
    """
    chunks = iter(lambda: file.read(_CHUNK), b"")
    rest = b""
    try:
        for chunk in _unpacked(chunks) if name.endswith(".gz") else chunks:
            records, rest = _cut(rest + chunk)
            yield records
        if rest:
            raise _Damaged("it ends within a record")
    except (isal_zlib.error, _Damaged) as error:
        raise ValueError(f"{name} is truncated or corrupted: {error}") from None


class _Damaged(ValueError):
    """Bytes that are no record, or only a part of a file."""


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of gzip files, one or more on end. ISA-L takes half of zlib's time, and checks its CRC."""
    unpack, begun = isal_zlib.decompressobj(wbits=31), False
    for chunk in chunks:
        while chunk:
            yield unpack.decompress(chunk)
            begun, chunk = not unpack.eof, unpack.unused_data
            if unpack.eof:
                unpack = isal_zlib.decompressobj(wbits=31)
    if begun:
        raise _Damaged("its compressed data end too early")


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole records at the beginning, and what follows them."""
    records, backs, at = [], [], 0
    while (start := at + _FRONT_BYTES) <= len(data):
        end = start + _length(data[at:start])
        if end + _BACK_BYTES > len(data):
            break
        at = end + _BACK_BYTES
        records.append(data[start:end])
        backs.append(data[end:at])
    crcs = _masked([google_crc32c.value(record) for record in records])
    if crcs.tobytes() != b"".join(backs):
        raise _Damaged("the CRC of a record is wrong")
    return records, data[at:]


@lru_cache(maxsize=1 << 14)  # most records are as long as another
def _length(front: bytes) -> int:
    """What stands before a record → the record's length."""
    length, crc = _FRONT.unpack(front)
    if _masked([google_crc32c.value(front[:8])]).tobytes() != crc:
        raise _Damaged("the CRC of a record's length is wrong")
    return length


def _fixed(items: np.ndarray) -> pa.Array:
    """Each item's bytes."""
    return pa.Array.from_buffers(pa.binary(items.itemsize), len(items), [None, pa.py_buffer(items)]).cast(
        pa.binary()
    )


def _masked(crcs: list[int]) -> np.ndarray:
    """TFRecord's mask: rotated right by 15 bits, plus a constant."""
    values = np.array(crcs, np.uint32)
    return ((values >> np.uint32(15) | values << np.uint32(17)) + np.uint32(0xA282EAD8)).astype("<u4")
