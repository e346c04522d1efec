"""Second stage, for each hash partition: drop repeats, put rows in order, write examples by split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.ingest.counts import Counts
from pipeline.ingest.examples import encode_examples
from pipeline.ingest.plan import Plan
from pipeline.ingest.read_stage import FILE, POSITION, ROW_ID, SPLIT, piece_path
from pipeline.ingest.splits import SPLITS
from pipeline.ingest.tfrecords import TFRecordWriter

ENCODE_ROWS = 8192


class WriteStage:
    """Writes partitions: one shard of each split a partition."""

    def __init__(self, plan: Plan, number_of_pieces: int):
        self._plan = plan
        self._pieces = number_of_pieces

    def __call__(self, partition: int) -> Counts:
        """Writes a partition's shards. Rows are in the order of their ids, which is as good as random."""
        plan, counts = self._plan, Counts()
        table = self._load(partition)
        if table is not None:
            if plan.log.unique:
                table = self._drop_repeats(table, counts)
            order = np.lexsort((table[POSITION], table[FILE], table[ROW_ID]))
            table = table.take(pa.array(order))
        for number, split in enumerate(SPLITS):
            rows = None if table is None else table.filter(pa.array(table[SPLIT].to_numpy() == number))
            with TFRecordWriter(shard_path(plan, split, partition)) as writer:
                if rows is not None:
                    self._write(rows, split, writer, counts)
        return counts

    def _load(self, partition: int) -> pa.Table | None:
        batches = []
        for number in range(self._pieces):
            base = piece_path(self._plan.work_dir, number)
            mine = [
                i
                for i, owner in enumerate(json.loads(Path(f"{base}.index").read_text()))
                if owner == partition
            ]
            if mine:
                with pa.memory_map(f"{base}.arrow") as source:
                    file = pa.ipc.open_file(source)
                    batches += [file.get_batch(i) for i in mine]
        return pa.Table.from_batches(batches).combine_chunks() if batches else None

    def _drop_repeats(self, table: pa.Table, counts: Counts) -> pa.Table:
        """Keeps the first row, by file and position, of those alike. A row that lacks one of the columns is
        alike none."""
        unique = self._plan.log.unique
        table = table.take(pa.array(np.lexsort((table[POSITION], table[FILE]))))
        whole = np.ones(len(table), bool)
        for name in unique:
            whole &= table[name].is_valid().to_numpy()
        repeats = np.zeros(len(table), bool)
        repeats[whole] = table.select(unique).filter(pa.array(whole)).to_pandas().duplicated().to_numpy()
        if repeats.any():
            counts.dropped["repeat"] = int(repeats.sum())
        return table.filter(pa.array(~repeats))

    def _write(self, table: pa.Table, split: str, writer: TFRecordWriter, counts: Counts) -> None:
        plan = self._plan
        counts.written[split] = len(table)
        for task in plan.tasks:
            known = int(table[f"{task}/mask"].to_numpy().sum(dtype=np.float64))
            counts.known[task] = {split: known} | counts.known.get(task, {})
        names = [*plan.example_columns, *plan.target_columns, ROW_ID]
        for batch in table.select(names).to_batches(max_chunksize=ENCODE_ROWS):
            writer.write(encode_examples(dict(zip(names, batch.columns))))


def shard_path(plan: Plan, split: str, partition: int) -> Path:
    """Where a partition's examples of a split go."""
    name = f"data_tfrecord-{partition:05d}-of-{plan.partitions:05d}.gz"
    return plan.output_dir / f"Split-{split}" / name
