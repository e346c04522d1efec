"""Examples through a model, a shard at a time, each to a Parquet file of its keys and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from apache_beam.utils.shared import Shared

from pipeline.examples import decoder, serialized_examples, single_values
from pipeline.ingest.arrow_types import ARROW_TYPES
from pipeline.moves import Moves

BATCH_ROWS = 8192


@dataclass(frozen=True)
class Scoring:
    """What every worker is told.

    Attributes:
      model: a SavedModel with the signature `serve_examples`.
      keys: columns of the examples that stand before the predictions, with the recipe's types.
      outputs: of the model → the column that it becomes, in order.
      folder: gets a file a shard.
      moves: folder of the counts of rows done.
    """

    model: str
    keys: dict[str, str]
    outputs: dict[str, str]
    folder: Path
    moves: Path


class _Model:
    """The loaded model; one a process."""

    def __init__(self, folder: str):
        self._loaded = tf.saved_model.load(folder)  # a signature holds no reference to its variables
        self.answer = self._loaded.signatures["serve_examples"]


class _Score(beam.DoFn):
    def __init__(self, scoring: Scoring, handle: Shared):
        self._scoring, self._handle = scoring, handle

    def setup(self) -> None:
        self._model = self._handle.acquire(lambda: _Model(self._scoring.model))
        self._moves = Moves(self._scoring.moves)

    def process(self, shard: tuple[str, str]) -> None:
        """Reads the first, writes the second; once more, the same bytes."""
        source, target = shard
        scoring, answer = self._scoring, self._model.answer
        fields = [pa.field(n, ARROW_TYPES[kind]) for n, kind in scoring.keys.items()]
        specs = answer.structured_outputs
        fields += [pa.field(name, _kind(specs[output])) for output, name in scoring.outputs.items()]
        schema = pa.schema(fields)
        decode = decoder(scoring.keys).DecodeBatch if scoring.keys else None
        with pq.ParquetWriter(scoring.folder / target, schema) as writer:
            for _, batch in serialized_examples([source], BATCH_ROWS):
                columns: list[Any] = []
                if decode is not None:
                    found = decode(batch.numpy())
                    columns = [single_values(found.column(name)) for name in scoring.keys]
                predictions = answer(examples=batch)
                columns += [_column(predictions[output].numpy()) for output in scoring.outputs]
                arrays = [c.cast(f.type) for c, f in zip(columns, schema, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                self._moves.add(len(batch))


def _kind(spec: tf.TensorSpec) -> pa.DataType:
    kind = pa.binary() if spec.dtype == tf.string else pa.from_numpy_dtype(spec.dtype.as_numpy_dtype)
    return kind if spec.shape.rank == 1 else pa.list_(kind, spec.shape[1])


def _column(values: np.ndarray) -> pa.Array:
    """`[rows]`, or `[rows, classes]` as a list in each row."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def score(pipeline: beam.Pipeline, scoring: Scoring, shards: Sequence[str]) -> None:
    """Runs `pipeline`, which has no steps yet, over shards of examples: `part-<i>-of-<n>.parquet` each."""
    targets = [f"part-{i:05d}-of-{len(shards):05d}.parquet" for i in range(len(shards))]
    _ = (
        pipeline
        | "Shards" >> beam.Create(list(zip(shards, targets, strict=True)))
        | "Spread" >> beam.Reshuffle()
        | "Score" >> beam.ParDo(_Score(scoring, Shared()))
    )
    pipeline.run().wait_until_finish()
