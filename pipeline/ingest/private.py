"""Private columns as they are read: hashed, and shown nowhere as the source has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache

import pyarrow as pa

from pipeline.ingest.batch import Batch, Problem
from pipeline.recipe.parts import Source
from serving.private import VARIABLE, Hasher

HIDDEN = "(private)"
NOT_KEPT = "(not kept: the source has private columns)"


def hashed(column: pa.Array) -> pa.Array:
    """What stands for private values, by the key in the environment of this process.

    Raises:
      NoKey: there is none.
    """
    return _hasher(os.environ.get(VARIABLE, "")).column(column)


@lru_cache(maxsize=1)  # a file's key is the same for the length of a run
def _hasher(given: str) -> Hasher:
    return Hasher.from_environment({VARIABLE: given})


def has_private(source: Source) -> bool:
    """Whether any of a source's columns is private."""
    return any(column.private for column in source.columns.values())


def without_raw_rows(batches: Iterator[Batch], source: Source) -> Iterator[Batch]:
    """Batches of a source: where it has private columns, a row that turns out to be dead is shown by the
    values that were read, hashed where they are private, and a line that is no row is not shown at all."""
    if not has_private(source):
        return batches
    return map(_without_raw, batches)


def _without_raw(batch: Batch) -> Batch:
    columns: dict[str, pa.Array] = dict(batch.columns)
    batch.raw = lambda row: {name: column[row].as_py() for name, column in columns.items()}
    # the reason may show a part of the line
    batch.unreadable = [
        (position, Problem(problem.kind, problem.kind), NOT_KEPT) for position, problem, _ in batch.unreadable
    ]
    return batch
