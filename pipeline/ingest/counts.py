"""What was read, written, dropped and dead. It always adds up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.batch import DeadLetter
from pipeline.ingest.constraints import Constraints
from pipeline.ingest.splits import SPLITS


@dataclass
class Counts:
    """Rows of the log, and of catalogs.

    Attributes:
      read: rows of the log; of a span, its own.
      for_history: rows of earlier spans, read for history. They are counted here alone, whatever else they
        are: the ingestions of their own spans told of it.
      written: split → rows.
      dropped: reason → rows.
      dead: kind of problem → rows.
      examples_of_dead: kind → the first reason of that kind.
      matched, unmatched: catalog → rows of the log that have a row in it, and that have none.
      catalogs: catalog → {"read", "dead"} rows.
      events: event log → {"read", "dead", "repeats"} rows.
      attributed: task whose label is made from events → what became of the events that count for it (see
        `event_labels`).
      cut: list column → rows whose list was cut to its max_length.
      open_windows: such a task → rows without a label because their window was not over.
      known: task → split → rows whose label is known.
      broken: rule of a column that the schema cannot hold, in words → rows that break it.
      first_time, last_time: milliseconds of the earliest and latest row of roles.time, dead rows left out.
      digests: source → file → digest of its content.
    """

    read: int = 0
    for_history: int = 0
    written: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    dropped: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    examples_of_dead: dict[str, str] = field(default_factory=dict)
    matched: dict[str, int] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    catalogs: dict[str, dict[str, int]] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    attributed: dict[str, dict[str, int]] = field(default_factory=dict)
    open_windows: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    known: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    first_time: int | None = None
    last_time: int | None = None
    digests: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def rows_written(self) -> int:
        return sum(self.written.values())

    @property
    def rows_dropped(self) -> int:
        return sum(self.dropped.values())

    @property
    def rows_dead(self) -> int:
        return sum(self.dead.values())

    def saw_dead(self, letters: list[DeadLetter]) -> None:
        """Counts dead letters by kind."""
        for letter in letters:
            kind, reason = letter.problem
            self.dead[kind] = self.dead.get(kind, 0) + 1
            self.examples_of_dead.setdefault(kind, reason)

    def saw_times(self, times: pa.Array | None) -> None:
        """Widens the range of times by those of a column, if there is one."""
        if times is not None:
            self._widen(*pc.min_max(times).as_py().values())

    def _widen(self, first: int | None, last: int | None) -> None:
        if first is not None:
            self.first_time = first if self.first_time is None else min(first, self.first_time)
            self.last_time = last if self.last_time is None else max(last, self.last_time)

    def saw_join(self, catalog: str, unmatched: np.ndarray) -> None:
        """Counts rows with and without a row in a catalog; `unmatched` is bool `[rows]`."""
        without = int(np.count_nonzero(unmatched))
        self.matched[catalog] = self.matched.get(catalog, 0) + len(unmatched) - without
        self.unmatched[catalog] = self.unmatched.get(catalog, 0) + without

    def saw_broken(self, rules: Constraints, columns: dict[str, pa.Array], earlier: np.ndarray) -> None:
        """Counts the rows that break a rule, of a span its own; `earlier` is bool `[rows]`."""
        if earlier.any():
            own = pa.array(~earlier)
            columns = {name: columns[name].filter(own) for name in rules.columns}
        _add(self.broken, rules(columns))

    def add(self, other: Counts) -> None:
        """Adds what one worker counted; digests stay."""
        self.read += other.read
        self.for_history += other.for_history
        for mine, more in (
            (self.written, other.written),
            (self.dropped, other.dropped),
            (self.dead, other.dead),
            (self.matched, other.matched),
            (self.unmatched, other.unmatched),
            (self.broken, other.broken),
            (self.open_windows, other.open_windows),
            (self.cut, other.cut),
        ):
            _add(mine, more)
        for all_mine, all_more in (
            (self.catalogs, other.catalogs),
            (self.events, other.events),
            (self.attributed, other.attributed),
        ):
            for name, more in all_more.items():
                _add(all_mine.setdefault(name, {}), more)
        for kind, reason in other.examples_of_dead.items():
            self.examples_of_dead.setdefault(kind, reason)
        for task, splits in other.known.items():
            mine = self.known.setdefault(task, dict.fromkeys(SPLITS, 0))
            for split, value in splits.items():
                mine[split] += value
        self._widen(other.first_time, other.last_time)

    def check(self) -> None:
        """Raises RuntimeError, which is a mistake in this code, where read ≠ written + dropped + dead."""
        if self.read != self.rows_written + self.rows_dropped + self.rows_dead:
            raise RuntimeError(
                f"rows were lost: read {self.read}, written {self.rows_written}, dropped "
                f"{self.rows_dropped}, dead {self.rows_dead}"
            )

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> Counts:
        return cls(**json.loads(path.read_text()))


def _add(mine: dict[str, int], more: dict[str, int]) -> None:
    for key, value in more.items():
        mine[key] = mine.get(key, 0) + value
