"""Examples without the labels of some tasks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from tensorflow.core.example import example_pb2

from pipeline.ingest.tfrecords import TFRecordWriter, read_records


def hide_labels(source: Path, to: Path, tasks: Iterable[str]) -> None:
    """Writes a shard again, its rows in their order, as if no label of these tasks were known.

    Args:
      source: a file of examples, as ingestion writes it.
      to: the file to write.
      tasks: whose label, mask and weight become 0.

    Raises:
      ValueError: the file is damaged.
    """
    names = [f"{task}/{part}" for task in tasks for part in ("label", "mask", "weight")]
    with source.open("rb") as file, TFRecordWriter(to) as writer:
        for records in read_records(file, source.name):
            # a row in Python, as decoding to columns and encoding again takes as long
            found = []
            for record in records:
                example = example_pb2.Example.FromString(record)
                for name in names:
                    example.features.feature[name].float_list.value[:] = [0.0]
                found.append(example.SerializeToString(deterministic=True))
            writer.write(pa.array(found, pa.binary()))
