"""Rows that turn out to be dead after reading, when what the source said of them is no longer at hand: their
places are noted, and the raw rows read again at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.ingest.batch import Batch, DeadLetter, Problem
from pipeline.ingest.counts import Counts
from pipeline.ingest.plan import LOG, Plan
from pipeline.ingest.read import read
from pipeline.ingest.read_stage import SPLIT
from pipeline.ingest.span_rows import is_earlier


def as_batch(table: pa.Table, position: str) -> Batch:
    """A table's rows as a batch, which can be flagged; their raw form is not at hand."""
    columns = {name: _flat(table[name]) for name in table.column_names}
    return Batch(columns, table[position].to_numpy(), lambda _: None)


def drop_dead(batch: Batch, file: str, path: Path, counts: Counts) -> None:
    """Takes the flagged rows out of a batch of several files, counts them and notes their places. Those of
    earlier spans, read for history, are neither counted nor noted.

    Args:
      file: the column that holds the number of a row's file.
      path: the file of places, which is appended to.
    """
    if not batch.problems:
        return
    earlier = is_earlier(batch.columns.get(SPLIT), len(batch.positions))
    batch.drop([row for row in batch.problems if earlier[row]])
    files = batch.columns[file]
    places = [(files[i].as_py(), int(batch.positions[i]), problem) for i, problem in batch.problems.items()]
    counts.saw_dead(batch.drop_problems(""))
    with path.open("a") as out:
        for number, position, problem in sorted(places):
            out.write(json.dumps([number, position, *problem]) + "\n")


def late_letters(plan: Plan, paths: list[Path]) -> Iterator[DeadLetter]:
    """The letters of all noted rows, by file and position; reads no more than the files they are in."""
    of_files: dict[int, dict[int, Problem]] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            number, position, kind, reason = json.loads(line)
            of_files.setdefault(number, {})[position] = Problem(kind, reason)
    for number, problems in sorted(of_files.items()):
        file = plan.files[LOG][number]
        wanted = np.array(sorted(problems))
        for batch in read(plan.input_dir, file, plan.log, plan.read_columns(LOG)):
            rows = np.flatnonzero(np.isin(batch.positions, wanted))
            for row in rows.tolist():
                position = int(batch.positions[row])
                yield DeadLetter(file, position, problems[position], batch.raw(row))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
