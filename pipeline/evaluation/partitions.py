"""Rows of fixed size in files on disk, cut so that one part at a time fits in memory.

Cut by hash, all rows of a key are in one part. Cut by range, the parts in order hold ascending values, so
that sorting each sorts all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import memory

# Rows of a part, about: large enough that the work is NumPy's, small enough to hold a few in memory, each
# with hundreds of replicates a user.
ROWS_A_PART = 1 << 15


def parts_for(rows: int) -> int:
    """Into how many parts so many rows are cut."""
    return max(1, -(-rows // ROWS_A_PART))


class Partitions:
    """Parts on disk, written in any order and read one at a time."""

    def __init__(self, folder: Path, dtype: np.dtype):
        """Takes a folder for the parts' files, made if absent, and the records' NumPy type."""
        self._folder, self._dtype = folder, dtype
        self._written: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, records: np.ndarray, parts: np.ndarray) -> None:
        """Appends each of (n,) records to the part that (n,) `parts` says."""
        parts = parts.astype(np.uint32)
        order = np.argsort(parts, kind="stable")
        found, starts = np.unique(parts[order], return_index=True)
        records = records[order]
        for part, start, end in zip(found.tolist(), starts, np.r_[starts[1:], len(records)], strict=False):
            with (self._folder / str(part)).open("ab") as file:
                # not tofile, whose error does not say that a disk is full
                file.write(records[start:end].tobytes())
            self._written.add(part)

    @property
    def written(self) -> list[int]:
        """The parts that have rows, ascending."""
        return sorted(self._written)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The same parts, whole."""
        return map(self.read, self.written)

    def read(self, part: int, rows: int = -1, start: int = 0) -> np.ndarray:
        """Up to `rows` records of a part (all of them at -1), from its record `start` on.

        What the part before needed goes back to the system first.
        """
        memory.give_back()
        offset = start * self._dtype.itemsize
        return np.fromfile(self._folder / str(part), self._dtype, rows, offset=offset)

    def rows(self, part: int) -> int:
        """How many records a part has."""
        return (self._folder / str(part)).stat().st_size // self._dtype.itemsize

    def blocks(self, part: int) -> Iterator[np.ndarray]:
        """A part's records, at most ROWS_A_PART at a time."""
        start = 0
        while len(records := self.read(part, ROWS_A_PART, start)):
            yield records
            start += len(records)


def hash_parts(hashes: np.ndarray, count: int) -> np.ndarray:
    """Which of `count` parts each (n,) uint64 hash is in."""
    return hashes % np.uint64(count)


def range_bounds(sample: np.ndarray, count: int) -> np.ndarray:
    """Where to cut a range so that about `count` parts hold as many values each.

    A value so frequent that it fills a part has one for itself alone, which needs no sorting and so may
    have any size.

    Args:
      sample: (m,) float, drawn from the values.

    Returns:
      Ascending bounds; a value is in part `np.searchsorted(bounds, value, side="right")`.
    """
    if len(sample) == 0 or count < 2:
        cuts = np.unique(sample[:0])
    else:
        cuts = np.quantile(sample, np.arange(1, count) / count, method="lower")
    cuts, times = np.unique(cuts, return_counts=True)
    frequent = cuts[times > 1]
    return np.union1d(cuts, np.nextafter(frequent, np.inf))


@dataclass(frozen=True)
class SortedPart:
    """A part of the range.

    Attributes:
      tied: whether all its values are one; else it is a single block, sorted.
      blocks: yields its records, at most ROWS_A_PART at a time where they are tied.
    """

    tied: bool
    blocks: Callable[[], Iterator[np.ndarray]]


class SortedParts:
    """Records cut by the range of a value, to be walked in its order."""

    def __init__(self, folder: Path, dtype: np.dtype, key: str, bounds: np.ndarray):
        """`key` names the records' field of values; `bounds` are those of `range_bounds`."""
        self.dtype = dtype
        self._partitions = Partitions(folder, dtype)
        self._key, self._bounds = key, bounds

    def add(self, records: np.ndarray) -> None:
        """Adds (n,) records."""
        self._partitions.add(records, np.searchsorted(self._bounds, records[self._key], side="right"))

    def __iter__(self) -> Iterator[SortedPart]:
        """The parts that have records, by ascending values."""
        following = np.nextafter(self._bounds, np.inf)
        for part in self._partitions.written:
            alone = 0 < part < len(self._bounds) and self._bounds[part] == following[part - 1]
            yield SortedPart(bool(alone), partial(self._partitions.blocks if alone else self._sorted, part))

    def _sorted(self, part: int) -> Iterator[np.ndarray]:
        records = self._partitions.read(part)
        yield records[np.argsort(records[self._key], kind="stable")]
