"""What a set of vectors is like: how many rows have one, how long they are, which numbers are dead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.watch.moments import Moments

QUANTILES = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
_NORMS = 1 << 20  # kept; of more, every second


class Measure:
    """Adds up a feature's vectors over the rows of one split.

    Args:
      dimension: D.

    Attributes:
      rows: all of them; those in `reasons` have no vector.
      items: distinct keys among the rows; None where they are not counted.
      reasons: why rows have no vector → how many.
      halves: moments of the vectors of two halves of the items.
    """

    def __init__(self, dimension: int):
        self.rows, self.items = 0, None
        self.reasons: Counter[str] = Counter()
        self.halves = (Moments.none(dimension), Moments.none(dimension))
        self._norms: list[np.ndarray] = []
        self._thinned = 1

    def add(self, vectors: np.ndarray, rows: np.ndarray, half: np.ndarray) -> None:
        """Adds float32 `[n, D]`, each of so many rows `[n]`, with the half that it belongs to, bool `[n]`."""
        for moments, of in zip(self.halves, (~half, half), strict=True):
            moments.add(vectors[of], rows[of].astype(float))
        # the square of a number may be beyond float32
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        self._norms.append(np.stack([norms, rows])[:, :: self._thinned])
        if sum(part.shape[1] for part in self._norms) > _NORMS:
            self._norms = [np.concatenate(self._norms, axis=1)[:, ::2]]
            self._thinned *= 2

    @property
    def moments(self) -> Moments:
        """Of all vectors."""
        found = Moments.none(len(self.halves[0].mean))
        for half in self.halves:
            found.merge(half)
        return found

    def facts(self) -> dict[str, Any]:
        """As `pipeline.report.form.VectorSet`."""
        moments = self.moments
        norms, rows = np.concatenate(self._norms, axis=1) if self._norms else np.empty((2, 0))
        found = quantiles(norms, rows, list(QUANTILES.values()))
        return {
            "rows": self.rows,
            "items": self.items,
            "absent": sum(self.reasons.values()),
            "reasons": dict(self.reasons.most_common()),
            "norm": dict(zip(QUANTILES, found, strict=True)) if found else None,
            "dead": int(moments.dead.sum()) if moments.weight else None,
        }


def quantiles(values: np.ndarray, weights: np.ndarray, at: Sequence[float]) -> list[float]:
    """The values below which these shares of the weight lie; none of none."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    if not len(total) or not total[-1]:
        return []
    places = np.searchsorted(total, np.asarray(at) * total[-1])
    return [float(v) for v in values[order][np.minimum(places, len(values) - 1)]]
