"""What earlier rows tell about a row: the last items, counts and rates, by any key and as of its time.

A row at time t sees the rows with its own values in all columns of `by` whose age a = t − their time, in
milliseconds, satisfies 0 < a, delay ≤ a and a ≤ window, and for which `where` is true. Rows of the same
millisecond do not see each other. A row that lacks a column of `by`, or the time, sees nothing and is not
seen. What nothing tells is a count of 0, a missing rate and an empty list; an online store that has no row
for a key means the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest import numpy_operations
from pipeline.ingest.earlier import EarlierRows, Queries, prefix_sums, ranges
from pipeline.ingest.errors import DataError
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.expressions import Expression, parse
from pipeline.recipe.parts import Earlier

_LIMIT = 2**31 - 1  # of an Arrow list's and string's offsets
_Place = tuple[str, str]  # a name of the recipe's history, and `where` or `of`


class History:
    """Makes the columns of a recipe's `history` from tables that hold all rows of each key.

    Args:
      specs: name → what it is, as the recipe says it.
      types: source column → its type inside an expression.
    """

    def __init__(self, specs: Mapping[str, Earlier], types: Mapping[str, str]):
        self._specs = dict(specs)
        self._conditions: dict[_Place, Expression] = {}
        # distinct sets of columns, each in the order in which it is first written
        names: dict[frozenset[str], tuple[str, ...]] = {}
        self._groups: dict[tuple[str, ...], list[str]] = {}
        for name, spec in self._specs.items():
            by = names.setdefault(frozenset(spec.by), tuple(dict.fromkeys(spec.by)))
            self._groups.setdefault(by, []).append(name)
            if spec.where is not None:
                self._conditions[name, "where"] = parse(spec.where, types)
            if spec.kind == "rate":
                self._conditions[name, "of"] = parse(spec.of, types)

    @property
    def columns(self) -> set[str]:
        """The source columns that are read, besides the time."""
        read = set().union(*(c.columns for c in self._conditions.values()))
        for spec in self._specs.values():
            read |= {*spec.by, *([spec.of] if spec.kind == "last" else [])}
        return read

    def __call__(self, table: pa.Table, time: str) -> dict[str, pa.Array]:
        """The columns of history, in the table's order of rows, which does not matter to them.

        Args:
          table: `columns`, the time, and `FILE` and `POSITION`, which put rows of equal time in order.
          time: its int64 milliseconds.

        Returns:
          Name → `[rows]`: `last` a list of int64 or string, the newest at its end and never null; `count`
          int64; `rate` float64, null where there is no row to take it of.

        Raises:
          DataError: the lists are too long to be held.
        """
        rows = _Rows(table, self.columns, time, self._conditions)
        found = {}
        for by, names in self._groups.items():
            earlier = rows.by(by)
            for name in names:
                start, end = np.zeros((2, len(table)), np.int64)
                start[earlier.rows], end[earlier.rows] = _seen(earlier, earlier.own, self._specs[name])
                found[name] = rows.told(name, self._specs[name], earlier, start, end)
        return {name: found[name] for name in self._specs}

    def current(self, table: pa.Table, time: str, at: int) -> dict[tuple[str, ...], pa.Table]:
        """The same values as a row at a given time would have them, for every key.

        Args:
          table, time: as above.
          at: milliseconds; rows at this time or later are not seen.

        Returns:
          For each distinct `by`, a table with its columns and those of history, a row a key, sorted by key.
          Keys with nothing to tell (counts 0, rates missing, lists empty) are left out.

        Raises:
          DataError: the lists are too long to be held.
        """
        rows = _Rows(table, self.columns, time, self._conditions)
        tables = {}
        for by, names in self._groups.items():
            earlier = rows.by(by)
            keys = {n: rows.columns[n].take(pa.array(earlier.first)) for n in by}
            found, queries = {}, earlier.at(at)
            for name in names:
                spec = self._specs[name]
                found[name] = rows.told(name, spec, earlier, *_seen(earlier, queries, spec))
            telling = np.zeros(len(earlier.first), bool)
            for column in found.values():
                telling |= _tells(column)
            tables[by] = (
                pa.table(keys | found)
                .filter(pa.array(telling))
                .sort_by([(name, "ascending") for name in by])
                .combine_chunks()
            )
        return tables


class _Rows:
    """A table's rows, and which conditions they meet."""

    def __init__(
        self, table: pa.Table, columns: set[str], time: str, conditions: Mapping[_Place, Expression]
    ):
        self.columns = {name: _array(table[name]) for name in columns | {time}}
        self._times = self.columns[time]
        self._chronological = np.lexsort(
            (table[POSITION], table[FILE], self._times.fill_null(0).to_numpy(zero_copy_only=False))
        )
        read = set().union(*(c.columns for c in conditions.values()))
        values = {name: numpy_operations.column_values(self.columns[name]) for name in read}
        self._meets = {
            place: np.broadcast_to(condition.evaluate(values, numpy_operations), len(table)).astype(bool)
            for place, condition in conditions.items()
        }

    def by(self, columns: tuple[str, ...]) -> EarlierRows:
        return EarlierRows([self.columns[n] for n in columns], self._times, self._chronological)

    def told(
        self, name: str, spec: Earlier, earlier: EarlierRows, start: np.ndarray, end: np.ndarray
    ) -> pa.Array:
        """What each `earlier.rows[start:end]` tells: `[queries]`."""
        counts = np.ones(len(earlier.rows), bool)
        if spec.where is not None:
            counts = self._meets[name, "where"][earlier.rows]
        if spec.kind == "last":
            values = self.columns[spec.of]
            counts = counts & values.is_valid().to_numpy(zero_copy_only=False)[earlier.rows]
            sums = prefix_sums(counts)
            return _lists(name, values.take(pa.array(earlier.rows[counts])), sums[start], sums[end], spec.n)
        sums = prefix_sums(counts)
        total = sums[end] - sums[start]
        if spec.kind == "count":
            return pa.array(total)
        sums = prefix_sums(counts & self._meets[name, "of"][earlier.rows])
        return pa.array((sums[end] - sums[start]) / np.maximum(total, 1), mask=total == 0)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _seen(earlier: EarlierRows, queries: Queries, spec: Earlier) -> tuple[np.ndarray, np.ndarray]:
    window = None if spec.window is None else milliseconds(spec.window)
    return earlier.seen(queries, window, milliseconds(spec.delay))


def _lists(name: str, values: pa.Array, start: np.ndarray, end: np.ndarray, n: int) -> pa.Array:
    """The last n of each `values[start:end]`: lists `[queries]`."""
    start = np.maximum(start, end - n)
    text = pa.types.is_string(values.type)
    # an empty text still takes an offset of its own
    sizes = np.maximum(pc.binary_length(values).to_numpy(), 1) if text else np.ones(len(values), np.int64)
    sums = np.append(0, np.cumsum(sizes, dtype=np.int64))
    if (size := int((sums[end] - sums[start]).sum())) > _LIMIT:
        raise DataError(
            f"history.{name}: the lists of {len(start):,} rows that must be in memory together hold "
            f"{size:,} {'bytes' if text else 'values'}, and {_LIMIT:,} is the most; lower its `n`"
        )
    offsets, elements = ranges(start, end)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.take(pa.array(elements)))


def _tells(column: pa.Array) -> np.ndarray:
    """bool `[rows]`: whether there is anything but a count of 0, a missing rate or an empty list."""
    if pa.types.is_list(column.type):
        return pc.list_value_length(column).to_numpy() > 0
    if pa.types.is_integer(column.type):
        return column.to_numpy() > 0
    return column.is_valid().to_numpy(zero_copy_only=False)
