"""tf.Examples for TFX's executors, read shard by shard in batches instead of record by record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder
from tfx_bsl.tfxio import record_based_tfxio, tensor_representation_util, tf_example_record

from pipeline.examples import ExampleParser

# Where TFXIO's own tuning ends at 1,000 rows.
BATCH_SIZE = 8192
# The column that says where a row is from: `shard << SHARD_BITS | row`, both counted from 0.
POSITION = "_position"
SHARD_BITS = 40


class ShardedExamples(tf_example_record.TFExampleRecord):
    """TFXIO of tf.Examples in TFRecord files that differs from its parent in how `BeamSource` reads.

    A worker takes whole shards, which TensorFlow reads and parses by thousands of rows beside what follows
    (see `pipeline.examples`). The parent hands every record through Beam as an element of its own, and sizes
    batches by the clock; here they are always cut at the same rows. Columns, types and values are the
    parent's, and so is everything but `BeamSource`. Its Beam metrics of rows are not kept.

    Args:
      file_pattern: one or more patterns; the files of each are in order of their names.
      schema: of the columns to read.
      raw_record_column_name: adds a column of the serialized examples.
      telemetry_descriptors: as in the parent.
      types: of all columns there may be, for where `schema` is None. A batch then has those of them that
        have a value in it, which is what the parent finds by itself.
      in_order: one worker reads all shards, one after another, so that a sum over the rows does not depend
        on which worker was faster.
      positions: adds the int64 column `POSITION` to batches. It is no tensor: as a passthrough key it stays
        with its row in TensorFlow Transform.

    Raises:
      ValueError: neither schema nor types.
    """

    def __init__(
        self,
        file_pattern: str | list[str],
        schema: schema_pb2.Schema | None = None,
        raw_record_column_name: str | None = None,
        telemetry_descriptors: list[str] | None = None,
        types: schema_pb2.Schema | None = None,
        in_order: bool = False,
        positions: bool = False,
    ):
        if schema is None and types is None:
            raise ValueError("the columns' types are needed to parse examples: give a schema, or types")
        super().__init__(
            file_pattern,
            schema=schema,
            raw_record_column_name=raw_record_column_name,
            telemetry_descriptors=telemetry_descriptors,
        )
        self._types = types
        self._in_order = in_order
        self._positions = positions

    @classmethod
    def like(cls, other: tf_example_record.TFExampleRecord, **settings: Any) -> ShardedExamples:
        """The same examples read this way; `settings` are arguments of the constructor to add or replace."""
        same = {
            "file_pattern": other._file_pattern,
            "schema": other._schema,
            "raw_record_column_name": other.raw_record_column_name,
            "telemetry_descriptors": other.telemetry_descriptors,
        }
        return cls(**same | settings)

    def shards(self) -> list[str]:
        """The files, as `POSITION` counts them.

        Raises:
          FileNotFoundError: a pattern matches nothing.
        """
        found: list[str] = []
        for pattern in self._file_pattern:
            files = sorted(tf.io.gfile.glob(pattern))
            if not files:
                raise FileNotFoundError(f"no examples: {pattern} matches no file")
            found += files
        return found

    def ArrowSchema(self) -> pa.Schema:
        schema = super().ArrowSchema()
        return schema.append(pa.field(POSITION, pa.large_list(pa.int64()))) if self._positions else schema

    def BeamSource(self, batch_size: int | None = None) -> beam.PTransform:
        numbered = list(enumerate(self.shards()))
        work = [numbered] if self._in_order else [[shard] for shard in numbered]
        schema = self._types if self._schema is None else self._schema
        columns = example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString()).ArrowSchema()
        read = _ReadShards(
            columns,
            self._schema is None,
            batch_size or BATCH_SIZE,
            self.raw_record_column_name,
            self._positions,
        )

        @beam.typehints.with_input_types(Any)
        @beam.typehints.with_output_types(pa.RecordBatch)
        def source(pipeline: Any) -> beam.PCollection:
            return pipeline | "Shards" >> beam.Create(work) | "ReadShards" >> beam.ParDo(read)

        return beam.ptransform_fn(source)()

    def _ProjectImpl(self, tensor_names: list[str]) -> ShardedExamples:
        return ShardedExamples(
            self._file_pattern,
            tensor_representation_util.ProjectTensorRepresentationsInSchema(self._schema, tensor_names),
            self.raw_record_column_name,
            self.telemetry_descriptors,
            in_order=self._in_order,
            positions=self._positions,
        )


@beam.typehints.with_output_types(pa.RecordBatch)
class _ReadShards(beam.DoFn):
    """Numbered paths → record batches of their examples."""

    def __init__(
        self, columns: pa.Schema, drop_empty: bool, batch_size: int, raw_column: str | None, positions: bool
    ):
        self._columns = columns
        self._drop_empty = drop_empty
        self._batch_size = batch_size
        self._raw_column = raw_column
        self._positions = positions

    def setup(self) -> None:
        self._parser = ExampleParser(self._columns)

    def start_bundle(self) -> None:
        self._shards: list[tuple[int, str]] = []

    def process(self, shards: list[tuple[int, str]]) -> None:
        self._shards += shards

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Reads the bundle's shards in one go: none waits for the last rows of the one before."""
        if not self._shards:
            return
        numbers, paths = zip(*self._shards)
        row, before = 0, -1
        for place, serialized, batch in self._parser.batches(paths, self._batch_size):
            row, before = (row if place == before else 0), place
            if self._drop_empty:
                batch = batch.select(
                    [n for n, c in zip(batch.schema.names, batch.columns) if c.null_count < len(c)]
                )
            if self._raw_column is not None:
                batch = record_based_tfxio.AppendRawRecordColumn(
                    batch, self._raw_column, serialized.numpy().tolist()
                )
            if self._positions:
                batch = _with_positions(batch, (numbers[place] << SHARD_BITS) + row)
            row += batch.num_rows
            yield GlobalWindows.windowed_value(batch)


def _with_positions(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    positions = pa.LargeListArray.from_arrays(
        np.arange(batch.num_rows + 1), pa.array(np.arange(first, first + batch.num_rows))
    )
    return pa.RecordBatch.from_arrays([*batch.columns, positions], [*batch.schema.names, POSITION])
