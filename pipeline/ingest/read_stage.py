"""First stage, for each piece of the log: read, join, label, split; rows go to hash partitions on disk.

Rows that must meet (repeats) have the same partition. A worker keeps one spill file a piece, with a record
batch a partition for each time that its buffer was full; an index beside it says which batch is whose.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.batch import Batch, DeadLetter, Problem
from pipeline.ingest.catalogs import Join, open_table
from pipeline.ingest.counts import Counts
from pipeline.ingest.hashing import hash_columns, mix, row_ids
from pipeline.ingest.plan import Piece, Plan
from pipeline.ingest.read import read
from pipeline.ingest.splits import Splitter

SPILL_BYTES = 64 << 20
# Columns of a spill beside those of the examples; \0 keeps them apart from any column of a recipe.
SPLIT, FILE, POSITION = "\0split", "\0file", "\0position"
ROW_ID = "row/id"


class ReadStage:
    """Processes pieces; holds the joined catalogs."""

    def __init__(self, plan: Plan):
        self._plan = plan
        # catalogs that change over time may need a time that another one gives
        order = sorted(plan.catalogs, key=lambda name: plan.catalogs[name].time is not None)
        self._joins = {
            name: Join(plan.catalogs[name], open_table(catalog_path(plan.work_dir, name))) for name in order
        }
        self._splitter = Splitter(plan.splits, plan.roles, plan.files_of_splits)
        self._spilled = list(dict.fromkeys([*plan.example_columns, *plan.log.unique, *plan.target_columns]))

    def __call__(self, piece: Piece) -> Counts:
        """Writes a piece's spill file and dead letters. Written again, they are the same."""
        plan, counts = self._plan, Counts()
        base = piece_path(plan.work_dir, piece.number)
        owners: list[int] = []
        waiting: list[pa.RecordBatch] = []
        writer: pa.ipc.RecordBatchFileWriter | None = None
        with open(f"{base}.dead", "w") as letters, pa.OSFile(f"{base}.arrow", "wb") as sink:
            try:
                for batch in read(
                    plan.input_dir,
                    piece.file,
                    plan.log,
                    plan.log_columns,
                    piece.row_groups,
                    piece.first_position,
                ):
                    rows, dead = self._process(batch, piece, counts)
                    write_letters(letters, dead)
                    writer = writer or pa.ipc.new_file(
                        sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
                    )
                    waiting.append(rows)
                    if sum(r.nbytes for r in waiting) >= SPILL_BYTES:
                        owners += self._spill(waiting, writer)
                        waiting = []
                    Path(f"{base}.progress").write_text(str(counts.read))
                if waiting:
                    owners += self._spill(waiting, writer)
            finally:
                if writer is not None:
                    writer.close()
        Path(f"{base}.index").write_text(json.dumps(owners))
        return counts

    def _process(self, batch: Batch, piece: Piece, counts: Counts) -> tuple[pa.RecordBatch, list[DeadLetter]]:
        plan = self._plan
        counts.read += len(batch.positions) + len(batch.unreadable)
        for name, join in self._joins.items():
            unmatched = join(batch.columns, batch.columns.get(plan.roles.time))
            counts.unmatched[name] = counts.unmatched.get(name, 0) + int(unmatched.sum())
            if plan.catalogs[name].unmatched == "dead":
                key = plan.catalogs[name].on or plan.catalogs[name].key
                values = batch.columns[key]
                batch.flag(
                    np.flatnonzero(unmatched),
                    lambda row: Problem(
                        f"{name}: no row", f"{name} has no row for {key} {values[row].as_py()!r}"
                    ),
                )
        plan.labels(batch)
        ids = row_ids(piece.file, batch.positions)
        splits = self._splitter(batch, piece.file, ids)
        batch.columns |= {
            ROW_ID: pa.array(ids),
            SPLIT: pa.array(splits),
            FILE: pa.array(np.full(len(ids), piece.file_number, np.int32)),
        }
        dead = batch.drop_problems(piece.file)
        counts.saw_dead(dead)
        for rule, rows in plan.constraints(batch.columns).items():
            counts.broken[rule] = counts.broken.get(rule, 0) + rows
        if plan.roles.time is not None and len(batch.positions):
            range_ = pc.min_max(batch.columns[plan.roles.time]).as_py()
            counts.saw_times(range_["min"], range_["max"])
        names = [*self._spilled, ROW_ID, SPLIT, FILE]
        return pa.RecordBatch.from_arrays(
            [*(batch.columns[n] for n in names), pa.array(batch.positions)], [*names, POSITION]
        ), dead

    def _spill(self, waiting: list[pa.RecordBatch], writer: pa.ipc.RecordBatchFileWriter) -> list[int]:
        """Writes a record batch a partition; returns whose they are."""
        table = pa.Table.from_batches(waiting).combine_chunks()
        partition = self._partition(table)
        table = table.take(pa.array(np.argsort(partition, kind="stable")))
        ends = np.cumsum(np.bincount(partition, minlength=self._plan.partitions)).tolist()
        owners = []
        for number, (start, end) in enumerate(zip([0, *ends], ends)):
            if end > start:
                rows = table.slice(start, end - start).combine_chunks().to_batches()
                for part in rows:
                    writer.write_batch(part)
                owners += [number] * len(rows)
        return owners

    def _partition(self, table: pa.Table) -> np.ndarray:
        """By the columns that make a row unique, or by the row itself: int64 `[rows]`."""
        if self._plan.log.unique:
            hashes = hash_columns([table[n].combine_chunks() for n in self._plan.log.unique])
        else:
            hashes = mix(table[ROW_ID].to_numpy().view(np.uint64))
        return (hashes % np.uint64(self._plan.partitions)).astype(np.int64)


def write_letters(file: object, letters: list[DeadLetter]) -> None:
    """Appends dead letters to a text file, as JSON Lines."""
    for letter in letters:
        file.write(json.dumps(letter.as_json(), ensure_ascii=False, default=str) + os.linesep)


def piece_path(work_dir: Path, number: int) -> Path:
    """Where a piece's files are, less their endings."""
    return work_dir / f"piece-{number:06d}"


def catalog_path(work_dir: Path, name: str) -> Path:
    """Where a catalog's table is."""
    return work_dir / f"catalog-{name}.arrow"
