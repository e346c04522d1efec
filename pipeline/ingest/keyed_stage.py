"""The stages after reading: rows with equal keys are together, a partition at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.ingest.arrow_types import ARROW_TYPES
from pipeline.ingest.catalogs import Join, refuse_repeats
from pipeline.ingest.counts import Counts
from pipeline.ingest.event_labels import SOURCE
from pipeline.ingest.finish import Finish
from pipeline.ingest.labels import event_column
from pipeline.ingest.late import as_batch, drop_dead
from pipeline.ingest.moments import moment
from pipeline.ingest.online_store import write_part
from pipeline.ingest.places import FILE, POSITION
from pipeline.ingest.plan import LOG, ROW_ID, Piece, Plan
from pipeline.ingest.read_stage import SPLIT, PieceResult, flag_unmatched, piece_path
from pipeline.ingest.span_rows import is_earlier
from pipeline.ingest.spill import SpillWriter, load_spills
from pipeline.ingest.splits import Splitter

ONLINE = "online"


@dataclass
class Summary:
    """What later stages know of the whole input.

    Attributes:
      rows: source → rows that were read and are not dead.
      newest: source → milliseconds of its newest row.
    """

    rows: dict[str, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Iterable[PieceResult]) -> Summary:
        found = cls()
        for result in results:
            found.rows[result.source] = found.rows.get(result.source, 0) + result.rows
            for source, time in result.newest.items():
                found.newest[source] = max(time, found.newest.get(source, time))
        return found


class KeyedStage:
    """Processes partitions of one stage; the last one writes examples."""

    def __init__(self, plan: Plan, number: int, pieces: list[Piece]):
        """Args:
        plan: the plan.
        number: of the stage, from 0.
        pieces: all that were read.
        """
        self._plan, self._number = plan, number
        self._stage = plan.stages[number]
        self._spills: dict[str, list[Path]] = {}
        for piece in pieces:
            self._spills.setdefault(piece.source, []).append(piece_path(plan.work_dir, piece))
        self._labels = {name: plan.event_labels(name) for name in self._stage.events}
        self._history = plan.history_of(self._stage) if self._stage.history else None
        self._splitter = Splitter(plan.splits, plan.roles, plan.files_of_splits)
        self._is_last = number + 1 == len(plan.stages)
        self._finish = Finish(plan) if self._is_last else None

    def __call__(self, partition: int, summary: Summary) -> Counts:
        """Processes one partition; there are `plan.shards(summary.rows)`, and others have nothing to do.

        Raises:
          DataError: a catalog's key repeats.
        """
        plan, counts = self._plan, Counts()
        shards = plan.shards(summary.rows)
        if partition >= shards:
            return counts
        late = plan.work_dir / f"late-{self._number}-{partition:05d}"
        late.unlink(missing_ok=True)
        buckets = plan.buckets_of(partition, shards)
        log = self._spills.get(LOG, [])
        if self._number:
            log = [_stage_path(plan, self._number - 1, i) for i in range(shards)]
        table = load_spills(log, buckets)
        for name in self._stage.catalogs:
            table = self._join(table, name, buckets, late, counts)
        if table is not None and self._stage.joined:
            table = self._settle(table, late, counts)
        if table is not None and self._stage.repeats:
            table = drop_repeats(table, plan.log.unique, counts)
        for name in self._stage.events:
            table = self._label(table, name, buckets, summary, counts)
        if table is not None and self._history is not None:
            found = self._history(table, plan.roles.time)
            at = summary.newest[LOG] + 1  # whatever comes next sees every row there is
            write_part(plan.work_dir / ONLINE, partition, self._history.current(table, plan.roles.time, at))
            for name, column in found.items():
                table = table.append_column(name, column)
        if self._finish is not None:
            counts.add(self._finish(table, partition, shards, late))
            return counts
        with SpillWriter(
            _stage_path(plan, self._number, partition), plan.stages[self._number + 1].key, plan.buckets
        ) as spill:
            for batch in [] if table is None else table.combine_chunks().to_batches():
                spill.add(batch)
        return counts

    def _join(
        self, table: pa.Table | None, name: str, buckets: range, late: Path, counts: Counts
    ) -> pa.Table | None:
        plan, catalog = self._plan, self._plan.catalogs[name]
        rows = load_spills(self._spills[f"catalogs.{name}"], buckets)
        if rows is not None and catalog.time is None:
            what = f"catalogs.{name}"
            files = pa.array(plan.files[what]).take(rows[FILE].combine_chunks())
            refuse_repeats(rows[catalog.key], files, rows[POSITION], f"sources.{what}: {catalog.key}")
        if table is None:
            return None
        if rows is None:
            # the same columns in the same order as where there are rows, for the stages that follow
            kinds = {n: ARROW_TYPES[catalog.columns[n].type] for n in plan.read_columns(f"catalogs.{name}")}
            rows = pa.schema(kinds).empty_table()
        else:
            # of rows with equal key and time the last one read holds, whatever order spills have
            rows = rows.take(pa.array(np.lexsort((rows[POSITION], rows[FILE])))).drop_columns(
                [FILE, POSITION]
            )
        batch = as_batch(table, POSITION)
        unmatched = Join(catalog, rows)(batch.columns, batch.columns.get(plan.roles.time))
        earlier = is_earlier(batch.columns.get(SPLIT), len(batch.positions))
        counts.saw_join(name, unmatched[~earlier])
        if catalog.unmatched == "dead":
            flag_unmatched(batch, name, plan, unmatched)
            drop_dead(batch, FILE, late, counts)
        return pa.table(batch.columns)

    def _settle(self, table: pa.Table, late: Path, counts: Counts) -> pa.Table:
        """Labels, splits and rules that read what catalogs joined by key have."""
        plan, batch = self._plan, as_batch(table, POSITION)
        plan.labels["joined"](batch)
        if plan.split_at == "joined":
            batch.columns[SPLIT] = pa.array(self._splitter(batch, "", batch.columns[ROW_ID].to_numpy()))
        drop_dead(batch, FILE, late, counts)
        earlier = is_earlier(batch.columns.get(SPLIT), len(batch.positions))
        counts.saw_broken(plan.constraints["joined"], batch.columns, earlier)
        if plan.roles.time not in plan.at_once:
            counts.saw_times(batch.columns.get(plan.roles.time))
        return pa.table(batch.columns)

    def _label(
        self, table: pa.Table | None, name: str, buckets: range, summary: Summary, counts: Counts
    ) -> pa.Table | None:
        plan, labels = self._plan, self._labels[name]
        events = load_spills(self._spills[f"events.{name}"], buckets)
        if table is None and events is None:
            return None
        rows = self._nothing(name) if table is None else table
        until = plan.events[name].complete_until
        found, attributed = labels(
            rows,
            events,
            plan.roles.time,
            summary.newest.get(f"events.{name}") if until is None else moment(until),
        )
        if SOURCE in attributed:
            counts.events[name] = attributed.pop(SOURCE)
        counts.attributed |= attributed
        if table is None:
            return None
        whole = np.ones(len(table), bool)
        if plan.span is not None:
            whole &= ~is_earlier(table[SPLIT], len(table))
        for key in plan.events[name].keys:
            whole &= table[key].is_valid().to_numpy()
        for task, values in found.items():
            table = table.append_column(event_column(task), values)
            counts.open_windows[task] = int(np.count_nonzero(whole & values.is_null().to_numpy(False)))
        return table

    def _nothing(self, name: str) -> pa.Table:
        """A log without rows, for events of keys that it does not have."""
        plan = self._plan
        columns = {n: ARROW_TYPES[plan.columns[n].type] for n in [*plan.events[name].keys, plan.roles.time]}
        columns |= {FILE: pa.int32(), POSITION: pa.int64()}
        return pa.table({n: pa.array([], kind) for n, kind in columns.items()})


def drop_repeats(table: pa.Table, unique: list[str], counts: Counts) -> pa.Table:
    """Keeps the first row, by file and position, of those alike. A row that lacks one of the columns is alike
    none."""
    table = table.take(pa.array(np.lexsort((table[POSITION], table[FILE]))))
    whole = np.ones(len(table), bool)
    for name in unique:
        whole &= table[name].is_valid().to_numpy()
    repeats = np.zeros(len(table), bool)
    repeats[whole] = table.select(unique).filter(pa.array(whole)).to_pandas().duplicated().to_numpy()
    earlier = is_earlier(table[SPLIT] if SPLIT in table.column_names else None, len(table))
    if own := int(np.count_nonzero(repeats & ~earlier)):
        counts.dropped["repeat"] = own
    return table.filter(pa.array(~repeats))


def _stage_path(plan: Plan, number: int, partition: int) -> Path:
    return plan.work_dir / f"stage-{number}-{partition:05d}"
