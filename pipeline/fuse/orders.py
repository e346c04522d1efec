"""What the order of requests' rows is worth to a task, for many fused scores at once.

A fused score is a weighted sum of the tasks' columns z, so that row i is before row j where

    (z_i - z_j) . w > 0

and for many weights w that is one matrix product over the pairs that matter: a row with a gain, and each row
of its request. Nothing is sorted. The metrics are those of `pipeline.evaluation.groups`, ties included: rows
of one score have no order, and what they are worth is the mean over all their orders (McSherry & Najork
2008). NDCG takes any gain from 0 (Järvelin & Kekäläinen 2002, without their exponent).
"""

from dataclasses import dataclass

import numpy as np

_PAIRS, _POINTS = 1 << 11, 64
"""Pairs and weights at a time: their product stays in the cache."""


@dataclass(frozen=True)
class Rows:
    """Rows of validation, in any order.

    Attributes:
      columns: (n, tasks) float, what is fused.
      requests: (n,) uint64 hash of the request, 0 for none.
      units: (n,) uint64 hash of the user (of the request where there is none).
    """

    columns: np.ndarray
    requests: np.ndarray
    units: np.ndarray


class Orders:
    """A task's requests.

    Attributes:
      weights: (r,) what each request counts in the mean.
      units: (r,) uint64, whose request it is (of its first row, were there several).
      requests: how many there are with rows of known label.
      open: how many of them the weights can order in more than one way that matters to the task.
    """

    def __init__(self, rows: Rows, gains: np.ndarray, weights: np.ndarray, metric: str, k: int):
        """Takes rows of known label.

        Args:
          rows: in requests; rows in none are left out.
          gains: (n,) float from 0; of `recall_at_k` and `gauc_request` 0 or 1.
          weights: (n,) float above 0.
          metric: `ndcg_at_k`, `recall_at_k` or `gauc_request`.
          k: how many of a request's first rows count.
        """
        kept = np.flatnonzero(rows.requests)
        kept = kept[np.argsort(rows.requests[kept], kind="stable")]
        requests, gains, weights = rows.requests[kept], gains[kept], weights[kept]
        first = np.flatnonzero(np.r_[True, requests[1:] != requests[:-1]]) if len(kept) else np.zeros(0, int)
        sizes = np.diff(np.r_[first, len(kept)])
        most, least, total = (_by_request(of, gains, first) for of in (np.maximum, np.minimum, np.add))
        of_weights = _by_request(np.add, weights, first)
        differ = most > least
        counted = differ if metric == "gauc_request" else total > 0
        self.weights = (of_weights if metric == "gauc_request" else of_weights / np.maximum(sizes, 1))[
            counted
        ]
        self.units = rows.units[kept][first][counted]
        self.requests, self.open = len(first), int(differ.sum())
        self._columns, self._metric, self._k = rows.columns[kept], metric, k
        self._discounts = np.r_[0.0, np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))]

        self._ideal = np.ones(len(first))
        if metric == "ndcg_at_k":
            best = gains[np.lexsort((-gains, requests))]
            place = np.arange(len(kept)) - np.repeat(first, sizes)
            worth = np.where(place < k, best / np.log2(np.minimum(place, k) + 2), 0.0)
            self._ideal = _by_request(np.add, worth, first)
        elif metric == "recall_at_k":
            self._ideal = total
        else:
            positive = _by_request(np.add, weights * gains, first)
            self._ideal = positive * (of_weights - positive)

        # of a request that has one order: all its rows are alike, or it is one row
        size = sizes[counted]
        alone = total[counted] * self._place_worth(np.zeros_like(size), size)
        self._fixed = np.where(differ[counted], 0.0, alone / self._ideal[counted])
        self._open = np.flatnonzero(differ[counted])

        of = np.repeat(np.arange(len(first)), sizes)
        self._rows = np.flatnonzero((gains > 0) & differ[of])
        self._gains = gains[self._rows] / self._ideal[of[self._rows]]
        if metric == "gauc_request":
            self._gains *= weights[self._rows]
        self._others = weights * (1 - gains)  # of the AUC: what a positive row may be before
        self._from, self._sizes = first[of[self._rows]], sizes[of[self._rows]]
        self._by_request = np.flatnonzero(np.diff(of[self._rows], prepend=-1))

    def worths(self, points: np.ndarray) -> np.ndarray:
        """(r, c): the metric of each request under each of (c, tasks) weights."""
        by_row = np.empty((len(self._rows), len(points)))
        # those of requests of one size together, so that pairs are a block without gaps
        order = np.argsort(self._sizes, kind="stable")
        sizes, starts = np.unique(self._sizes[order], return_index=True)
        for size, of_size in zip(sizes, np.split(order, starts[1:]), strict=False):  # without sizes one part
            step = max(_PAIRS // size, 1)
            for few in (of_size[i : i + step] for i in range(0, len(of_size), step)):
                others = self._from[few, None] + np.arange(size)
                ahead = self._columns[self._rows[few], None] - self._columns[others]
                for at in range(0, len(points), _POINTS):
                    lead = ahead @ points[at : at + _POINTS].T
                    by_row[few, at : at + _POINTS] = self._row_worth(lead, others)
        found = np.repeat(self._fixed[:, None], len(points), axis=1)
        if len(by_row):
            by_row *= self._gains[:, None]
            found[self._open] = np.add.reduceat(by_row, self._by_request, axis=0)
        return found

    def _row_worth(self, lead: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(rows, c) what a gain of 1 at each row is worth, of its (rows, size, c) lead over each row of its
        request."""
        if self._metric == "gauc_request":
            won = (np.sign(lead) + 1) * 0.5
            return (self._others[others][:, None] @ won)[:, 0]
        above, tied = _count(lead < 0), _count(lead == 0)  # tied with itself too
        return self._place_worth(above, tied)

    def _place_worth(self, above: np.ndarray, tied: np.ndarray) -> np.ndarray:
        """What a row is worth that has one of the `tied` places after the first `above`."""
        top, start = np.minimum(above + tied, self._k), np.minimum(above, self._k)
        if self._metric == "ndcg_at_k":
            return (self._discounts[top] - self._discounts[start]) / tied
        return (top - start) / tied


def _by_request(of: np.ufunc, values: np.ndarray, first: np.ndarray) -> np.ndarray:
    return of.reduceat(values, first) if len(first) else np.zeros(0)


def _count(true: np.ndarray) -> np.ndarray:
    """(rows, c) how many of (rows, size, c) are true."""
    total = np.zeros((len(true), true.shape[2]), np.int64)
    for at in range(0, true.shape[1], 255):  # without a cast it is several times as fast
        total += np.add.reduce(true[:, at : at + 255].view(np.uint8), axis=1, dtype=np.uint8)
    return total
