"""Which rows an ingestion of one span takes of the files that it reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

HEAD, TAIL = "head", "tail"  # of a span by time
EARLIER = -1  # in place of a split: a row of an earlier span, read for history alone


@dataclass(frozen=True)
class SpanRows:
    """The rows of one span, and the earlier ones that its history is made from.

    Attributes:
      start, end: milliseconds; the span's rows have start ≤ time < end.
      since: milliseconds from which earlier rows are read; None is without end.
      home: the files whose rows without a time, and lines that are no rows, are counted with this span: each
        file is one span's, so that they are counted once.
    """

    start: int
    end: int
    since: int | None
    home: frozenset[str]

    def as_json(self) -> dict[str, Any]:
        """Of JSON's types alone."""
        return asdict(self) | {"home": sorted(self.home)}

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> SpanRows:
        """What `as_json` gave."""
        return cls(**found | {"home": frozenset(found["home"])})

    def taken(self, times: pa.Array, file: str) -> np.ndarray:
        """bool `[rows]`: which rows of a file are read; `times` are int64 milliseconds `[rows]`."""
        values = times.fill_null(0).to_numpy(zero_copy_only=False)
        inside = values < self.end
        if self.since is not None:
            inside &= values >= self.since
        return np.where(times.is_null().to_numpy(zero_copy_only=False), file in self.home, inside)

    def earlier(self, times: pa.Array) -> np.ndarray:
        """bool `[rows]`: which rows are of earlier spans."""
        known = times.is_valid().to_numpy(zero_copy_only=False)
        return known & (times.fill_null(0).to_numpy(zero_copy_only=False) < self.start)


def is_earlier(splits: pa.Array | pa.ChunkedArray | None, rows: int) -> np.ndarray:
    """bool `[rows]`: which rows are of earlier spans, by the column of splits, if it is there already."""
    return np.zeros(rows, bool) if splits is None else np.asarray(splits) == EARLIER
