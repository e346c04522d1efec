"""Reads examples from disk in batches, decoded in C++."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder

_TYPES = {
    "int": schema_pb2.INT,
    "time": schema_pb2.INT,
    "date": schema_pb2.INT,
    "list[int]": schema_pb2.INT,
    "float": schema_pb2.FLOAT,
    "vector": schema_pb2.FLOAT,
    "string": schema_pb2.BYTES,
    "list[string]": schema_pb2.BYTES,
}


def shards(folder: str | Path, split: str) -> list[str]:
    """The files of a split, in order."""
    return sorted(str(p) for p in Path(folder, f"Split-{split}").glob("*") if p.is_file())


def serialized_batches(folder: str | Path, split: str, batch_size: int = 4096) -> Iterator[tf.Tensor]:
    """Serialized tf.Examples of a split, string tensors of shape `[batch_size]` or less."""
    dataset = tf.data.TFRecordDataset(shards(folder, split), compression_type="GZIP", buffer_size=1 << 20)
    yield from dataset.batch(batch_size).prefetch(1)


def decoder(columns: dict[str, str]) -> example_coder.ExamplesToRecordBatchDecoder:
    """Decodes serialized examples to record batches of these columns (name → a recipe's column type),
    each a list array with no value where it is missing."""
    schema = schema_pb2.Schema(
        feature=[schema_pb2.Feature(name=n, type=_TYPES[t]) for n, t in columns.items()]
    )
    return example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString())


def record_batches(folder: str | Path, split: str, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """The columns of a split as record batches; see `decoder`."""
    decode = decoder(columns).DecodeBatch
    for batch in serialized_batches(folder, split):
        yield decode(batch.numpy())


def single_values(column: pa.Array) -> pa.Array:
    """A list array with at most one value a row as a flat array with nulls, of `[rows]`."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column))
    starts = column.offsets[:-1]
    filled = pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0)
    return pc.take(column.values, pc.if_else(filled, starts, pa.scalar(None, starts.type)))
