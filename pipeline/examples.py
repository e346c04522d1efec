"""Reads examples from disk in batches, decoded in C++."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder

from pipeline.feature_types import FEATURE_TYPES
from pipeline.ingest.ahead import ahead
from pipeline.ingest.tfrecords import read_records

_THREADS = 2
_DTYPES = {pa.int64(): tf.int64, pa.float32(): tf.float32, pa.large_binary(): tf.string}


class UnusableExamples(ValueError):
    """A split has no rows, or a file of it is truncated, corrupted or no TFRecord file; names it."""


def shards(folder: str | Path, split: str) -> list[str]:
    """The files of a split, in order."""
    return sorted(str(p) for p in Path(folder, f"Split-{split}").glob("*") if p.is_file())


def serialized_examples(paths: Sequence[str], batch_size: int) -> Iterator[tuple[int, tf.Tensor]]:
    """TFRecord files in order, each in batches: the file's place in `paths`, and serialized tf.Examples, a
    string tensor of shape `[batch_size]` or less. `.gz` says that a file is compressed.

    Raises:
      UnusableExamples: a file is truncated or corrupted, or no TFRecord file.
    """
    return ahead(_batched(paths, batch_size))


def _batched(paths: Sequence[str], batch_size: int) -> Iterator[tuple[int, tf.Tensor]]:
    for place, path in enumerate(paths):
        waiting: list[bytes] = []
        with tf.io.gfile.GFile(path, "rb") as file:
            for records in _records(file, path):
                waiting += records
                whole = len(waiting) // batch_size * batch_size
                for start in range(0, whole, batch_size):
                    yield place, tf.constant(waiting[start : start + batch_size])
                waiting = waiting[whole:]
        if waiting:
            yield place, tf.constant(waiting)


def _records(file: BinaryIO, path: str) -> Iterator[list[bytes]]:
    try:
        yield from read_records(file, path)
    except ValueError as error:
        raise UnusableExamples(str(error)) from None


def serialized_batches(folder: str | Path, split: str, batch_size: int = 4096) -> Iterator[tf.Tensor]:
    """Serialized tf.Examples of a split, string tensors of shape `[batch_size]` or less."""
    for _, serialized in serialized_examples(shards(folder, split), batch_size):
        yield serialized


class ExampleParser:
    """Reads columns of tf.Examples as TensorFlow parses them, in threads of its own.

    The batches are those of tfx_bsl's decoder, which builds whole messages and so takes twice as long, but
    for one thing: an empty list is a missing value.

    Args:
      schema: columns as large lists of int64, float32 or large_binary.
    """

    def __init__(self, schema: pa.Schema):
        self._schema = schema
        spec = {
            f.name: tf.io.RaggedFeature(_DTYPES[f.type.value_type], row_splits_dtype=tf.int64, validate=False)
            for f in schema
        }

        def parse(serialized: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            found = tf.io.parse_example(serialized, spec)
            return [found[n].values for n in spec], [found[n].row_splits for n in spec]

        self._parse = tf.function(parse).get_concrete_function(tf.TensorSpec([None], tf.string))

    def __call__(self, serialized: tf.Tensor) -> pa.RecordBatch:
        """The columns of serialized examples, a string tensor `[rows]`.

        Raises:
          tf.errors.InvalidArgumentError: an example is none, or a column has another type.
        """
        arrays = map(_lists, *self._parse(serialized), self._schema.types)
        return pa.RecordBatch.from_arrays(list(arrays), schema=self._schema)

    def batches(
        self, paths: Sequence[str], batch_size: int
    ) -> Iterator[tuple[int, tf.Tensor, pa.RecordBatch]]:
        """What `serialized_examples` gives, and with each batch its columns.

        Raises:
          UnusableExamples: see `serialized_examples`.
          tf.errors.InvalidArgumentError: see `__call__`.
        """
        waiting: deque[tuple[int, tf.Tensor, Future[pa.RecordBatch]]] = deque()
        # beside what the caller does: TensorFlow lets go of Python's lock
        with ThreadPoolExecutor(_THREADS) as threads:
            for place, serialized in serialized_examples(paths, batch_size):
                waiting.append((place, serialized, threads.submit(self, serialized)))
                if len(waiting) > _THREADS:
                    *read, batch = waiting.popleft()
                    yield *read, batch.result()
            for *read, batch in waiting:
                yield *read, batch.result()


def _lists(values: tf.Tensor, splits: tf.Tensor, kind: pa.LargeListType) -> pa.Array:
    """Values and `[rows + 1]` offsets as lists, null where there is no value."""
    offsets = splits.numpy()
    missing = np.diff(offsets) == 0
    return pa.LargeListArray.from_arrays(
        pa.array(offsets),
        pa.array(values.numpy(), kind.value_type),
        mask=pa.array(missing) if missing.any() else None,
    )


def decoder(columns: dict[str, str]) -> example_coder.ExamplesToRecordBatchDecoder:
    """Decodes serialized examples to record batches of these columns (name → a recipe's column type),
    each a list array with no value where it is missing."""
    schema = schema_pb2.Schema(
        feature=[schema_pb2.Feature(name=n, type=FEATURE_TYPES[t]) for n, t in columns.items()]
    )
    return example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString())


def record_batches(folder: str | Path, split: str, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """These columns of a split (name → a recipe's column type) as record batches; see `ExampleParser`."""
    parser = ExampleParser(decoder(columns).ArrowSchema())
    for _, _, batch in parser.batches(shards(folder, split), 4096):
        yield batch


def single_values(column: pa.Array) -> pa.Array:
    """A list array with at most one value a row as a flat array with nulls, of `[rows]`."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column))
    starts = column.offsets[:-1]
    filled = pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0)
    return pc.take(column.values, pc.if_else(filled, starts, pa.scalar(None, starts.type)))
