"""What a point is judged by: the tasks' metric within requests, their mean, and the bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.evaluation.replicates import Draws, percentile_intervals, splitmix64
from pipeline.fuse.orders import Orders
from pipeline.recipe.searches import Fuse

HALVES = 2
_POINTS = 64
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Objective:
    """Attributes:
    wanted: what the recipe asks for.
    orders: task → its requests, of every task that is maximised or bounded.
    """

    wanted: Fuse
    orders: Mapping[str, Orders]

    @property
    def tasks(self) -> list[str]:
        """Whose metrics there are, in order."""
        return list(self.orders)

    def metrics(self, points: np.ndarray) -> np.ndarray:
        """(1 + HALVES, c, tasks): of (c, T) weights, over all requests, and over those of each half of the
        users; NaN where a half has none."""
        return np.concatenate(
            [self._metrics(points[i : i + _POINTS]) for i in range(0, len(points), _POINTS)], axis=1
        )

    def _metrics(self, points: np.ndarray) -> np.ndarray:
        found = []
        for task, of in self.orders.items():
            shares = self._shares[task]
            with np.errstate(invalid="ignore"):
                found.append((shares @ of.worths(points)) / shares.sum(axis=1, keepdims=True))
        return np.stack(found, axis=2)

    @cached_property
    def _shares(self) -> dict[str, np.ndarray]:
        shares = {}
        for task, of in self.orders.items():
            half = splitmix64(of.units) % np.uint64(HALVES)
            shares[task] = of.weights * np.stack([np.ones(len(half)), *(half == h for h in range(HALVES))])
        return shares

    def mean(self, metrics: np.ndarray) -> np.ndarray:
        """(...): the weighted mean of (..., tasks) metrics."""
        weights = np.array([self.wanted.maximize.get(task, 0.0) for task in self.tasks])
        return metrics @ weights / weights.sum()

    def least(self, now: np.ndarray) -> dict[str, float]:
        """Task → the smallest metric that its bound allows, where the score as it is has (tasks,) `now`."""
        found = {}
        for bound in self.wanted.bounds:
            least = [] if bound.lower is None else [bound.lower]
            if bound.max_drop is not None:
                least.append(float(now[self.tasks.index(bound.task)]) - bound.max_drop)
            found[bound.task] = max(least)
        return found

    def shortfall(self, metrics: np.ndarray, now: np.ndarray) -> np.ndarray:
        """(...): by how much (..., tasks) metrics break the bounds, 0 where they keep them; `now` as of
        `least`."""
        short = np.zeros(metrics.shape[:-1])
        for task, least in self.least(now).items():
            under = least - metrics[..., self.tasks.index(task)]
            short += np.where(under > _ROUNDING, under, 0.0)
        return short

    def merit(self, metrics: np.ndarray, now: np.ndarray) -> np.ndarray:
        """(...): the mean where the bounds are kept, else less than 0 by what is missing."""
        short = self.shortfall(metrics, now)
        return np.where(short > 0, -short, self.mean(metrics))

    def replicates(self, points: np.ndarray, count: int) -> np.ndarray:
        """(1 + count, c): the mean of each point's metrics, then in replicates of a bootstrap by user."""
        found = np.zeros((1 + count, len(points), len(self.orders)))
        for i, of in enumerate(self.orders.values()):
            terms = np.c_[of.worths(points), np.ones(len(of.units))] * of.weights[:, None]
            requests, cells = np.divmod(np.arange(terms.size), terms.shape[1])
            *worths, weights = Draws(of.units, count).sums(cells, requests, terms.ravel(), terms.shape[1])
            with np.errstate(invalid="ignore"):
                found[..., i] = np.transpose(worths / weights)
        return self.mean(found)


def interval(replicates: np.ndarray) -> tuple[float, float] | None:
    """The central 95 % of (count,) replicates; None of fewer than two."""
    if len(replicates) < 2:
        return None
    low, high = percentile_intervals(replicates[None])[0]
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None
