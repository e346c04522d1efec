"""First stage, for each piece of a source: read it, and do to the log what needs no other row: joins with
catalogs in memory, labels, splits. Rows go to disk, in buckets by the key of the stage where they meet
others.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.ahead import ahead
from pipeline.ingest.batch import Batch, DeadLetter, Problem
from pipeline.ingest.catalogs import Join, open_table
from pipeline.ingest.counts import Counts
from pipeline.ingest.hashing import row_ids
from pipeline.ingest.places import FILE, POSITION
from pipeline.ingest.plan import LOG, ROW_ID, Piece, Plan, source_of
from pipeline.ingest.read import read
from pipeline.ingest.span_rows import EARLIER
from pipeline.ingest.spill import SpillWriter
from pipeline.ingest.splits import Splitter

SPLIT = "\0split"  # a column of spills; \0 keeps it apart from those of the recipe


@dataclass
class PieceResult:
    """What a piece came to.

    Attributes:
      source: whose piece it is.
      counts: of its rows.
      rows: that go on.
      newest: milliseconds of a source's newest row; of the log that of roles.time, of events that of `time`.
    """

    source: str
    counts: Counts
    rows: int = 0
    newest: dict[str, int] = field(default_factory=dict)


class ReadStage:
    """Processes pieces; holds the catalogs that are in memory."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._joins = {
            name: Join(catalog, open_table(catalog_path(plan.work_dir, name)))
            for name, catalog in plan.catalogs.items()
            if name not in plan.keyed
        }
        self._splitter = Splitter(plan.splits, plan.roles, plan.files_of_splits)

    def __call__(self, piece: Piece) -> PieceResult:
        """Writes a piece's spill and dead letters. Written again, they are the same."""
        plan, result = self._plan, PieceResult(piece.source, Counts())
        if piece.source != LOG:
            kind, _, name = piece.source.partition(".")
            getattr(result.counts, kind)[name] = {"read": 0, "dead": 0}
        base = piece_path(plan.work_dir, piece)
        source = source_of(plan, piece.source)
        key = (plan.stages[0] if piece.source == LOG else plan.stage_of(piece.source)).key
        key = _own_names(key, piece.source, plan)
        with (
            open(f"{base}.dead", "w", encoding="utf-8") as letters,
            SpillWriter(base, key, plan.buckets) as spill,
        ):
            batches = read(
                plan.input_dir,
                piece.file,
                source,
                plan.read_columns(piece.source),
                piece.row_groups,
                piece.first_position,
            )
            for batch in ahead(batches) if piece.row_groups != range(0) else ():
                process = self._log if piece.source == LOG else self._other
                dead = process(batch, piece, result)
                write_letters(letters, piece.source, dead)
                result.rows += len(batch.positions)
                rows = {
                    **batch.columns,
                    FILE: pa.array(np.full(len(batch.positions), piece.file_number, np.int32)),
                    POSITION: pa.array(batch.positions),
                }
                spill.add(pa.RecordBatch.from_arrays(list(rows.values()), list(rows)))
                if piece.source == LOG:
                    Path(f"{base}.progress").write_text(str(result.counts.read + result.counts.for_history))
        return result

    def _log(self, batch: Batch, piece: Piece, result: PieceResult) -> list[DeadLetter]:
        """Joins, labels and splits a batch in place; returns its dead rows. Those of earlier spans are left out
        without a word, as the ingestions of their own spans told of them."""
        plan, counts = self._plan, result.counts
        if plan.span is not None:
            batch.keep(np.flatnonzero(plan.span.taken(batch.columns[plan.roles.time], piece.file)))
            if piece.file not in plan.span.home:
                batch.unreadable = []
        earlier = _are_earlier(plan, batch)
        counts.for_history += int(np.count_nonzero(earlier))
        counts.read += int(np.count_nonzero(~earlier)) + len(batch.unreadable)
        for name, longer in batch.cut.items():
            counts.cut[name] = counts.cut.get(name, 0) + int(np.count_nonzero(longer & ~earlier))
        for name, join in self._joins.items():
            unmatched = join(batch.columns, batch.columns.get(plan.roles.time))
            counts.saw_join(name, unmatched[~earlier])
            if plan.catalogs[name].unmatched == "dead":
                flag_unmatched(batch, name, plan, unmatched)
        if plan.needs_time and plan.roles.time in batch.columns:
            flag_missing(batch, plan.roles.time, "history and events need")
        plan.labels["at_once"](batch)
        ids = row_ids(plan.row_names[piece.file], batch.positions)
        batch.columns[ROW_ID] = pa.array(ids)
        if plan.split_at == "at_once":
            splits = self._splitter(batch, piece.file, ids)
            splits[earlier] = EARLIER
            batch.columns[SPLIT] = pa.array(splits)
        batch.drop([row for row in batch.problems if earlier[row]])
        dead = batch.drop_problems(piece.file)
        counts.saw_dead(dead)
        counts.saw_broken(plan.constraints["at_once"], batch.columns, _are_earlier(plan, batch))
        if plan.roles.time in batch.columns:
            counts.saw_times(batch.columns[plan.roles.time])
            _saw(result, LOG, counts.last_time)
        kept = {*plan.kept_columns, *plan.target_columns, ROW_ID, SPLIT}
        batch.columns = {name: column for name, column in batch.columns.items() if name in kept}
        return dead

    def _other(self, batch: Batch, piece: Piece, result: PieceResult) -> list[DeadLetter]:
        """Takes rows out that cannot be joined."""
        plan = self._plan
        kind, _, name = piece.source.partition(".")
        source = getattr(plan, kind)[name]
        counted = getattr(result.counts, kind)[name]
        counted["read"] += len(batch.positions) + len(batch.unreadable)
        keys = source.keys if kind == "events" else [source.key]
        for column in [*keys, *([source.time] if source.time else [])]:
            flag_missing(batch, column, "the join needs")
        dead = batch.drop_problems(piece.file)
        counted["dead"] += len(dead)
        if kind == "events" and len(batch.positions):
            _saw(result, piece.source, pc.max(batch.columns[source.time]).as_py())
        return dead


def _are_earlier(plan: Plan, batch: Batch) -> np.ndarray:
    """bool `[rows]`: which rows are of earlier spans, read for history."""
    if plan.span is None:
        return np.zeros(len(batch.positions), bool)
    return plan.span.earlier(batch.columns[plan.roles.time])


def _own_names(key: list[str], what: str, plan: Plan) -> list[str]:
    """A stage's key by the names that the source's own columns have."""
    kind, _, name = what.partition(".")
    return [plan.catalogs[name].key] if kind == "catalogs" else key


def _saw(result: PieceResult, source: str, time: int | None) -> None:
    if time is not None:
        result.newest[source] = max(time, result.newest.get(source, time))


def flag_missing(batch: Batch, column: str, who_needs: str) -> None:
    """Marks the rows that lack a column as dead."""
    batch.flag(
        np.flatnonzero(batch.columns[column].is_null()),
        lambda _: Problem(f"{column} is missing", f"{column} is missing, which {who_needs}"),
    )


def flag_unmatched(batch: Batch, name: str, plan: Plan, unmatched: np.ndarray) -> None:
    """Marks the rows that a catalog does not have as dead."""
    key = plan.catalogs[name].on or plan.catalogs[name].key
    values = batch.columns[key]
    batch.flag(
        np.flatnonzero(unmatched),
        lambda row: Problem(f"{name}: no row", f"{name} has no row for {key} {values[row].as_py()!r}"),
    )


def write_letters(file: object, source: str, letters: list[DeadLetter]) -> None:
    """Appends dead letters to a text file, as JSON Lines."""
    for letter in letters:
        line = {"source": source, **letter.as_json()}
        file.write(json.dumps(line, ensure_ascii=False, default=str) + os.linesep)


def piece_path(work_dir: Path, piece: Piece) -> Path:
    """Where a piece's files are, less their endings."""
    return work_dir / f"{piece.source}-{piece.number:06d}"


def catalog_path(work_dir: Path, name: str) -> Path:
    """Where the table of a catalog in memory is."""
    return work_dir / f"catalog-{name}.arrow"
