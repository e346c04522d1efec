"""Rows cut by group, so that memory holds a part of them however large a group is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation import partitions
from pipeline.evaluation.partitions import Partitions, hash_parts, parts_for
from pipeline.evaluation.replicates import splitmix64


@dataclass(frozen=True)
class LargeGroup:
    """A group of more rows than a part has.

    Attributes:
      rows: how many.
    """

    rows: int
    _parts: Partitions
    _part: int

    def blocks(self) -> Iterator[np.ndarray]:
        """Its records, a part's worth at a time."""
        return self._parts.blocks(self._part)


class GroupParts:
    """Records on disk, written in any order and read by group."""

    def __init__(self, folder: Path, dtype: np.dtype, key: str, rows: int):
        """`key` names the field of the group's uint64 hash; `rows` says about how many records will come."""
        self._folder, self._dtype, self._key = folder, dtype, key
        self._parts, self._count = Partitions(folder, dtype), parts_for(rows)

    def add(self, records: np.ndarray) -> None:
        """Adds (n,) records."""
        self._parts.add(records, hash_parts(records[self._key], self._count))

    def __iter__(self) -> Iterator[np.ndarray | LargeGroup]:
        """Blocks of whole groups, a part's worth or two each, and groups too large for that."""
        for part in self._parts.written:
            if self._parts.rows(part) <= 2 * partitions.ROWS_A_PART:
                yield self._parts.read(part)
            else:
                yield from self._cut(part)

    def _cut(self, part: int) -> Iterator[np.ndarray | LargeGroup]:
        keys, sizes = np.empty(0, np.uint64), np.empty(0, np.int64)
        for block in self._parts.blocks(part):
            found, rows = np.unique(block[self._key], return_counts=True)
            keys, places = np.unique(np.r_[keys, found], return_inverse=True)
            sizes = np.bincount(places, np.r_[sizes, rows]).astype(np.int64)
        large = np.flatnonzero(sizes > partitions.ROWS_A_PART)
        count = parts_for(sizes.sum() - sizes[large].sum())
        again = Partitions(self._folder / f"{part}-again", self._dtype)
        for block in self._parts.blocks(part):
            of = np.searchsorted(keys[large], block[self._key])
            rest = hash_parts(splitmix64(block[self._key]), count)
            again.add(block, np.where(np.isin(block[self._key], keys[large]), count + of, rest))
        for at in again.written:
            if at < count:
                yield again.read(at)
            else:
                yield LargeGroup(int(sizes[large[at - count]]), again, at)
