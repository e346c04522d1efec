"""What passes from a reader to the rest of ingestion: typed columns and the rows that could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa


class Problem(NamedTuple):
    """Why a row is dead: the kind, which is counted, and the reason, which names the value."""

    kind: str
    reason: str


@dataclass(frozen=True)
class DeadLetter:
    """A row that could not be used.

    Attributes:
      file: path below the input folder.
      position: number of the row in its file, from 1; a header and blank lines are not counted.
      problem: why.
      row: the row as the source has it: its text, or column → value.
    """

    file: str
    position: int
    problem: Problem
    row: object

    def as_json(self) -> dict[str, object]:
        return {
            "file": self.file,
            "position": self.position,
            "kind": self.problem.kind,
            "reason": self.problem.reason,
            "row": self.row,
        }


@dataclass
class Batch:
    """Rows of one file.

    Attributes:
      columns: name in the recipe → Arrow array of `[rows]`, of the type in `arrow_types.ARROW_TYPES`.
      positions: int64 `[rows]`, the rows' numbers in the file, from 1.
      raw: row's index in this batch → the row as the source has it.
      problems: row's index → its first problem; such rows are dead.
      unreadable: position, problem and raw row of rows that have no place in `columns`.
      cut: column → bool `[rows]`: whose list was longer than the recipe lets it be, and is cut.
    """

    columns: dict[str, pa.Array]
    positions: np.ndarray
    raw: Callable[[int], object]
    problems: dict[int, Problem] = field(default_factory=dict)
    unreadable: list[tuple[int, Problem, object]] = field(default_factory=list)
    cut: dict[str, np.ndarray] = field(default_factory=dict)

    def flag(self, rows: np.ndarray, problem: Callable[[int], Problem]) -> None:
        """Marks rows (by index) as dead, unless they are so already."""
        for row in rows.tolist():
            if row not in self.problems:
                self.problems[row] = problem(row)

    def drop_problems(self, file: str) -> list[DeadLetter]:
        """Takes the dead rows out of the batch and returns them as letters, by position."""
        letters = [DeadLetter(file, position, problem, row) for position, problem, row in self.unreadable]
        letters += [
            DeadLetter(file, int(self.positions[i]), problem, self.raw(i))
            for i, problem in self.problems.items()
        ]
        if self.problems:
            self.drop(self.problems)
        self.problems, self.unreadable = {}, []
        return sorted(letters, key=lambda letter: letter.position)

    def drop(self, rows: Iterable[int]) -> None:
        """Takes rows (by index) out of the batch."""
        self.keep(np.setdiff1d(np.arange(len(self.positions)), np.fromiter(rows, np.int64)))

    def keep(self, rows: np.ndarray) -> None:
        """Leaves these rows (by index, rising) alone in the batch, with their problems."""
        if len(rows) == len(self.positions):
            return
        indices = pa.array(rows)
        self.columns = {n: c.take(indices) for n, c in self.columns.items()}
        self.positions = self.positions[rows]
        self.cut = {n: longer[rows] for n, longer in self.cut.items()}
        raw, new = self.raw, {int(old): place for place, old in enumerate(rows)}
        self.raw = lambda i: raw(int(rows[i]))
        self.problems = {new[old]: problem for old, problem in self.problems.items() if old in new}
