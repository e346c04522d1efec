"""TFRecord files: each record is length, CRC of the length, data, CRC of the data (tensorflow/core/lib/io)."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from types import TracebackType

import google_crc32c
import numpy as np
import pyarrow as pa


class TFRecordWriter:
    """Writes one gzip file at level 1, the same bytes for the same records.

    The file appears under its name only once it is whole, so that one written again, or half, is never seen.
    """

    def __init__(self, path: Path):
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._raw = self._partial.open("wb")
        self._file = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=1, mtime=0)

    def write(self, records: pa.Array) -> None:
        """Appends records, a binary array."""
        lengths = np.diff(np.frombuffer(records.buffers()[1], np.int32)[records.offset:records.offset + len(records) + 1])
        heads = np.ascontiguousarray(lengths, "<u8")
        distinct, places = np.unique(heads, return_inverse=True)
        head_crcs = _masked([google_crc32c.value(h.tobytes()) for h in distinct])[places]
        datas = records.to_pylist()
        data_crcs = _masked([google_crc32c.value(data) for data in datas])
        framing = np.zeros(len(records), [("head", "<u8"), ("crc", "<u4")])
        framing["head"], framing["crc"] = heads, head_crcs
        fronts, backs = framing.tobytes(), data_crcs.tobytes()
        parts: list[bytes] = []
        for i, data in enumerate(datas):
            parts += (fronts[12 * i:12 * i + 12], data, backs[4 * i:4 * i + 4])
        self._file.write(b"".join(parts))

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()
        self._raw.close()
        if kind is None:
            os.replace(self._partial, self._path)
        else:
            self._partial.unlink()


def _masked(crcs: list[int]) -> np.ndarray:
    """TFRecord's mask: rotated right by 15 bits, plus a constant."""
    values = np.array(crcs, np.uint32)
    return ((values >> np.uint32(15) | values << np.uint32(17)) + np.uint32(0xA282EAD8)).astype("<u4")
