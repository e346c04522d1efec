"""Rows on disk between stages, in buckets by the hash of a key.

A spill is one Arrow file with a record batch a bucket for each time that its buffer was full, and beside it
an index that says which batch is whose. A bucket is a range of hashes, so that neighbouring buckets together
are one too: how many partitions there are can be decided once the rows have been counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from pipeline.ingest.hashing import hash_columns
from pipeline.ingest.places import FILE, POSITION

# Of rows that wait to be written, by bucket: fewer would make many small record batches.
BUCKET_BYTES = 1 << 19
SPILL_BYTES = 64 << 20


class SpillWriter:
    """Writes one spill, beside what its caller does; written again, it is the same.

    Args:
      base: path of the spill less its endings.
      key: the columns whose hash decides.
      buckets: how many there are, a power of two.
    """

    def __init__(self, base: Path, key: list[str], buckets: int):
        self._base, self._key, self._buckets = base, key, buckets
        self._most = min(SPILL_BYTES, buckets * BUCKET_BYTES)
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._owners: list[int] = []
        self._sink = pa.OSFile(f"{base}.arrow", "wb")
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def add(self, rows: pa.RecordBatch) -> None:
        """Appends rows; all calls with the same columns."""
        self._waiting.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= self._most:
            self._flush()

    def _flush(self) -> None:
        self._settle()
        if self._waiting:
            self._writing = self._thread.submit(self._write, self._waiting)
            self._waiting, self._bytes = [], 0

    def _settle(self) -> None:
        """Waits for what was written before; raises what went wrong with it."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, batches: list[pa.RecordBatch]) -> None:
        table = pa.Table.from_batches(batches).combine_chunks()
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_file(self._sink, table.schema, options=options)
        bucket = bucket_of(table, self._key, self._buckets)
        table = table.take(pa.array(np.argsort(bucket.astype(np.uint16), kind="stable")))
        ends = np.cumsum(np.bincount(bucket, minlength=self._buckets)).tolist()
        for number, (start, end) in enumerate(zip([0, *ends], ends)):
            if end > start:
                for part in table.slice(start, end - start).combine_chunks().to_batches():
                    self._writer.write_batch(part)
                    self._owners.append(number)

    def __enter__(self) -> SpillWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._settle()
        finally:
            self._thread.shutdown()
            if self._writer is not None:
                self._writer.close()
            self._sink.close()
        Path(f"{self._base}.index").write_text(json.dumps(self._owners))


def bucket_of(table: pa.Table, key: list[str], buckets: int) -> np.ndarray:
    """int64 `[rows]`: the bucket of each row, from the highest bits of the hash.

    A row that lacks a part of the key meets no other. It goes by its place, as all such rows together, such
    as those of users who are not signed in, could be most of a log.
    """
    columns = [_flat(table[name]) for name in key]
    hashes = hash_columns(columns)
    if any(column.null_count for column in columns):
        whole = np.logical_and.reduce([c.is_valid().to_numpy(zero_copy_only=False) for c in columns])
        hashes = np.where(whole, hashes, hash_columns([_flat(table[name]) for name in (FILE, POSITION)]))
    bits = buckets.bit_length() - 1
    if not bits:
        return np.zeros(len(table), np.int64)
    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def load_spills(bases: Iterable[Path], buckets: range) -> pa.Table | None:
    """The rows of neighbouring buckets from several spills, in the spills' order; None where there are
    none."""
    batches = []
    for base in bases:
        owners = json.loads(Path(f"{base}.index").read_text())
        mine = [i for i, owner in enumerate(owners) if owner in buckets]
        if mine:
            with pa.memory_map(f"{base}.arrow") as source:
                file = pa.ipc.open_file(source)
                batches += [file.get_batch(i) for i in mine]
    return pa.Table.from_batches(batches).combine_chunks() if batches else None


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
