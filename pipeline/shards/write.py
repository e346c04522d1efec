"""Writes record batches as tf.Examples, one file for each shard that was read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.examples import encode_examples
from pipeline.ingest.tfrecords import TFRecordWriter
from pipeline.shards.tfxio import POSITION, SHARD_BITS


class WriteShards(beam.DoFn):
    """Record batches with the column `POSITION` → files of tf.Examples with the other columns.

    Rows keep their order and their features are in order of their names, so equal rows of a shard are equal
    bytes, however many workers there were. (tfx_bsl's encoder orders the features of an example by chance.)
    Takes what TensorFlow Transform gives: a batch, of lists of numbers, with what else passed through.

    Args:
      paths: the file for each shard; a shard without rows gets none.
    """

    def __init__(self, paths: list[str]):
        self._paths = paths

    def start_bundle(self) -> None:
        self._file = contextlib.ExitStack()
        self._next = -1

    def process(self, element: tuple[pa.RecordBatch, dict]) -> None:
        """Raises RuntimeError where rows of a shard are missing or come from elsewhere."""
        batch = element[0]
        place = batch.schema.get_field_index(POSITION)
        first = batch.column(place).flatten()[0].as_py()
        shard, row = divmod(first, 1 << SHARD_BITS)
        if row == 0:
            self._file.close()
            path = Path(self._paths[shard])
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._file.enter_context(TFRecordWriter(path))
        elif first != self._next:
            raise RuntimeError(
                f"row {row} of shard {shard} came where row {self._next % (1 << SHARD_BITS)} of shard "
                f"{self._next >> SHARD_BITS} was due: this Beam runner does not keep a shard's rows together"
            )
        self._next = first + batch.num_rows
        columns = {n: _numbers(c) for n, c in zip(batch.schema.names, batch.columns) if n != POSITION}
        self._writer.write(encode_examples(columns))

    def finish_bundle(self) -> None:
        self._file.close()


def _numbers(column: pa.Array) -> pa.Array:
    """A column of large lists as lists, or flat where each row has one value."""
    if len(column.values) == len(column) and pc.all(pc.equal(pc.list_value_length(column), 1)).as_py():
        return column.flatten()
    return column.cast(pa.list_(column.type.value_type))
