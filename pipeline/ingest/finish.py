"""The end of a row's way: the labels that had to wait, downsampling, and examples in shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.ingest.ahead import mapped
from pipeline.ingest.counts import Counts
from pipeline.ingest.downsampling import Downsampler
from pipeline.ingest.examples import encode_examples
from pipeline.ingest.late import as_batch, drop_dead
from pipeline.ingest.places import FILE, POSITION
from pipeline.ingest.plan import ROW_ID, Plan
from pipeline.ingest.read_stage import SPLIT
from pipeline.ingest.splits import SPLITS
from pipeline.ingest.tfrecords import TFRecordWriter

ENCODE_ROWS = 1 << 14


class Finish:
    """Writes partitions: one shard of each split a partition."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._downsampler = plan.downsampling and Downsampler(plan.downsampling, plan.tasks)
        self._names = [*plan.example_columns, *plan.target_columns, ROW_ID]

    def __call__(self, table: pa.Table | None, partition: int, shards: int, late: Path) -> Counts:
        """Writes a partition's shards. Rows are in the order of their ids, which is as good as random.

        Args:
          table: the rows; None where there are none.
          partition: which.
          shards: of how many.
          late: gets the places of rows that turn out to be dead.
        """
        counts = Counts()
        if table is not None:
            table = self._finished(table, late, counts)
            table = table.take(pa.array(np.lexsort((table[POSITION], table[FILE], table[ROW_ID]))))
        for number, split in enumerate(SPLITS):
            rows = None if table is None else table.filter(pa.array(table[SPLIT].to_numpy() == number))
            with TFRecordWriter(shard_path(self._plan.output_dir, split, partition, shards)) as writer:
                if rows is not None:
                    self._write(rows, split, writer, counts)
        return counts

    def _finished(self, table: pa.Table, late: Path, counts: Counts) -> pa.Table:
        plan = self._plan
        batch = as_batch(table, POSITION)
        plan.labels["late"](batch)
        drop_dead(batch, FILE, late, counts)
        columns = {name: batch.columns[name] for name in (*self._names, SPLIT, FILE, POSITION)}
        if self._downsampler is None:
            return pa.table(columns)
        keep = self._downsampler(columns, columns[SPLIT].to_numpy(), columns[ROW_ID].to_numpy())
        if left := int(np.count_nonzero(~keep)):
            counts.dropped["downsampled"] = left
        return pa.table(columns).filter(pa.array(keep))

    def _write(self, table: pa.Table, split: str, writer: TFRecordWriter, counts: Counts) -> None:
        counts.written[split] = len(table)
        for task in self._plan.tasks:
            known = int(table[f"{task}/mask"].to_numpy().sum(dtype=np.float64))
            counts.known[task] = {split: known} | counts.known.get(task, {})
        batches = table.select(self._names).to_batches(max_chunksize=ENCODE_ROWS)
        for records in mapped(lambda b: encode_examples(dict(zip(self._names, b.columns))), batches):
            writer.write(records)


def shard_path(output_dir: Path, split: str, partition: int, shards: int) -> Path:
    """Where a partition's examples of a split go."""
    return output_dir / f"Split-{split}" / f"data_tfrecord-{partition:05d}-of-{shards:05d}.gz"
