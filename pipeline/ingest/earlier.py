"""Which rows of a table are earlier than a time, for a key: ranges of one sorted order.

Rows are sorted by (key, time). Key and time together are one integer, so that what a query sees is found by
two binary searches and is a contiguous range; counts in it are differences of prefix sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Queries:
    """Who asks, and when.

    Attributes:
      keys: int64 `[queries]`: codes of `Earlier.keys`.
      moments: int64 `[moments]`: the distinct times asked for, rising, in milliseconds.
      moment: int64 `[queries]`: which of them each query asks for.
    """

    keys: np.ndarray
    moments: np.ndarray
    moment: np.ndarray


class EarlierRows:
    """The rows of a table by key and time. Rows that lack a key's column or the time are left out.

    Args:
      by: the key's columns, `[rows]` of int64 or string each.
      times: int64 milliseconds `[rows]`.
      chronological: int64 `[rows]`: the table's rows by time, those of equal time in an order that does not
        depend on the table's.

    Attributes:
      rows: int64 `[seen]`: the rows that are not left out, by key and then `chronological`.
      first: int64 `[keys]`: for each key a row that has it.
      own: the question that each of `rows` asks, at its own time.
    """

    def __init__(self, by: list[pa.Array], times: pa.Array, chronological: np.ndarray):
        whole = times.is_valid().to_numpy(zero_copy_only=False)
        for column in by:
            whole &= column.is_valid().to_numpy(zero_copy_only=False)
        rows = chronological[whole[chronological]]
        codes = _codes([column.take(pa.array(rows)) for column in by])
        order = np.argsort(codes, kind="stable")
        self.rows = rows[order]
        keys = codes[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self.first = self.rows[starts]
        moments, moment = np.unique(times.take(pa.array(self.rows)).to_numpy(), return_inverse=True)
        self.own = Queries(keys, moments, moment)
        # room for a moment after the last one
        self._width = len(moments) + 1
        self._places = keys * self._width + moment

    def at(self, time: int) -> Queries:
        """Every key asks at one time."""
        keys = np.arange(len(self.first))
        return Queries(keys, np.array([time], np.int64), np.zeros(len(keys), np.int64))

    def seen(self, queries: Queries, window: int | None, delay: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows that each query sees: those of its key that are a milliseconds older, with
        0 < a, delay ≤ a and a ≤ window.

        Args:
          queries: who asks.
          window: milliseconds; None is without end.
          delay: milliseconds.

        Returns:
          `start` and `end`, int64 `[queries]`: `rows[start:end]` is what a query sees, the newest last.
        """
        upper = np.searchsorted(self.own.moments, queries.moments - max(delay, 1), side="right")
        end = self._find(queries, upper)
        if window is None:
            return self._find(queries, np.zeros_like(upper)), end
        lower = np.searchsorted(self.own.moments, queries.moments - window, side="left")
        return np.minimum(self._find(queries, lower), end), end

    def _find(self, queries: Queries, bound: np.ndarray) -> np.ndarray:
        """How many rows come before the key's first row whose moment is at least `bound[moment]`."""
        return np.searchsorted(self._places, queries.keys * self._width + bound[queries.moment])


def _codes(columns: list[pa.Array]) -> np.ndarray:
    """int64 `[rows]`, from 0 without gaps: equal where the rows' values are."""
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        encoded = column.dictionary_encode()
        # both factors are at most the number of rows, so that the product stays far below 2^63
        pairs = codes * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy()
        codes = pa.array(pairs).dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes


def prefix_sums(counted: np.ndarray) -> np.ndarray:
    """int64 `[rows + 1]`: how many of the first i rows are counted, of bool `[rows]`."""
    sums = np.zeros(len(counted) + 1, np.int64)
    np.cumsum(counted, out=sums[1:])
    return sums


def ranges(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of integers one after another: their offsets, int64 `[ranges + 1]`, and their elements.

    >>> ranges(np.array([5, 0]), np.array([7, 3]))
    (array([0, 2, 5]), array([5, 6, 0, 1, 2]))
    """
    offsets = np.zeros(len(start) + 1, np.int64)
    np.cumsum(end - start, out=offsets[1:])
    return offsets, np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], end - start)
