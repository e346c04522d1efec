"""The newest row not later than a time, within a key."""

from __future__ import annotations

import numpy as np


class AsOf:
    """Rows with a key and a time, searched by both.

    Rows are sorted by (key, time); both together are one integer, so that one binary search finds all. Of
    rows with equal key and time the last one given is found.

    Args:
      codes: int64 `[rows]` from 0, the same for equal keys.
      times: int64 `[rows]`.
    """

    def __init__(self, codes: np.ndarray, times: np.ndarray):
        by_time = np.argsort(times, kind="stable")
        self._times, rank = _ranks(times[by_time])
        self._width = len(self._times) + 1
        place = codes[by_time] * self._width + rank
        order = np.argsort(place, kind="stable")
        self._order, self._places = by_time[order], place[order]

    def rows(self, codes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """int64 `[queries]`: the row's index, or −1 where the key has none so early."""
        if not len(self._places):
            return np.full(len(codes), -1)
        wanted = codes * self._width + np.searchsorted(self._times, times, side="right")
        found = np.searchsorted(self._places, wanted, side="right") - 1
        same_key = (found >= 0) & (self._places[found] // self._width == codes)
        return np.where(same_key, self._order[found], -1)


def _ranks(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values of a sorted vector, and the place of each entry's value among them, from 1."""
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first], np.cumsum(first)
