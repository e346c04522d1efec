"""Writes record batches, one file for each shard that was read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shards.columns import ColumnWriter
from pipeline.shards.tfxio import POSITION, SHARD_BITS


class WriteShards(beam.DoFn):
    """Record batches with the column `POSITION` → files of the other columns (see `ColumnWriter`).

    Rows keep their order and columns are in order of their names, so equal rows of a shard are equal bytes,
    however many workers there were. Takes what TensorFlow Transform gives: a batch, of lists of numbers,
    with what else passed through. Its integers have 64 bits; the column `ids`, rows of an embedding table
    and by far the largest column, is written with 32: it is read, shuffled and batched in half the time.

    Args:
      paths: the file for each shard; a shard without rows gets none.
    """

    def __init__(self, paths: list[str]):
        self._paths = paths

    def start_bundle(self) -> None:
        self._file = contextlib.ExitStack()
        self._next = -1

    def process(self, element: tuple[pa.RecordBatch, dict]) -> None:
        """Raises RuntimeError where rows of a shard are missing or come from elsewhere, ValueError where not
        every row of a column has as many values, or a row of the table has no number of 32 bits."""
        batch = element[0]
        place = batch.schema.get_field_index(POSITION)
        first = batch.column(place).flatten()[0].as_py()
        shard, row = divmod(first, 1 << SHARD_BITS)
        if row == 0:
            self._file.close()
            path = Path(self._paths[shard])
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._file.enter_context(ColumnWriter(path))
        elif first != self._next:
            raise RuntimeError(
                f"row {row} of shard {shard} came where row {self._next % (1 << SHARD_BITS)} of shard "
                f"{self._next >> SHARD_BITS} was due: this Beam runner does not keep a shard's rows together"
            )
        self._next = first + batch.num_rows
        columns = zip(batch.schema.names, batch.columns)
        self._writer.write({name: _array(name, column) for name, column in columns if name != POSITION})

    def finish_bundle(self) -> None:
        self._file.close()


def _array(name: str, column: pa.Array) -> np.ndarray:
    """A column of large lists of one length as `[rows, length]`, or `[rows]` where each has one value."""
    width = len(column.flatten()) // len(column)
    if not np.array_equal(pc.list_value_length(column), np.full(len(column), width)):
        raise ValueError(f"column {name} of the transformed rows has more values in one row than in another")
    flat = column.flatten()
    if name == "ids":
        flat = flat.cast(pa.int32())
    values = flat.to_numpy(zero_copy_only=False)
    return values if width == 1 else values.reshape(-1, width)
