"""The search: random weights first, then ever smaller steps from the best so far."""

from dataclasses import dataclass

import numpy as np

from pipeline.fuse.objective import HALVES, Objective

NOW = 0
"""The place of the score as it is among the points."""
_DIGITS = 4
_SAME = 1e-9
_STEPS = (1.0, 0.5, 0.25, 0.1)


@dataclass(frozen=True)
class Found:
    """Attributes:
    points: (n, T) weights, the score as it is first, then those drawn at random, then the steps.
    metrics: (1 + HALVES, n, tasks), see `Objective.metrics`.
    drawn: how many of the points come before the steps.
    chosen: place of the point with the greatest merit; of equals the first.
    """

    points: np.ndarray
    metrics: np.ndarray
    drawn: int
    chosen: int


def search(objective: Objective, now: np.ndarray, scales: np.ndarray, candidates: int, seed: int) -> Found:
    """Tries points.

    Only the order counts, so weights are shares: of what each column varies by within requests, which makes
    them comparable. First come single tasks, equal shares and draws from Dirichlet distributions, over the
    whole simplex and near its edges; half of the points are steps from the best so far.

    Args:
      objective: judges them.
      now: (T,) the weights as they are; their signs are kept, + where there is none.
      scales: (T,) above 0, what each column varies by.
      candidates: how many points.
      seed: of the draws.
    """
    draw, tasks = np.random.default_rng(seed), len(now)
    signs = np.where(now < 0, -1.0, 1.0)
    shares = np.concatenate([np.eye(tasks), np.full((1, tasks), 1.0 / tasks)])[:candidates]
    left = max(candidates // 2 - len(shares), 0)
    for many, alpha in ((left - left // 2, 1.0), (left // 2, 0.3)):
        shares = np.concatenate([shares, draw.dirichlet(np.full(tasks, alpha), many)])
    points = np.concatenate([now[None], _written(shares, signs, scales)])
    metrics = objective.metrics(points)
    drawn = len(points)
    for size, many in zip(_STEPS, _parts(candidates - len(shares), len(_STEPS)), strict=True):
        best = points[_best(objective, metrics[0])] * signs * scales
        near = np.maximum(best / max(best.sum(), 1e-300), 1e-4) * np.exp(
            size * draw.standard_normal((many, tasks))
        )
        more = _written(near, signs, scales)
        points = np.concatenate([points, more])
        metrics = np.concatenate([metrics, objective.metrics(more)], axis=1) if many else metrics
    return Found(points, metrics, drawn, _best(objective, metrics[0]))


def gain_elsewhere(objective: Objective, found: Found) -> float | None:
    """By how much the best of the drawn points is better than the score as it is, on users it was not
    picked on: the mean over picking on each half and measuring on the other. None where a half is empty.

    The steps are left out, as all users led them.
    """
    gains = []
    halves = found.metrics[1:, : found.drawn]
    if np.isnan(halves).any():
        return None
    for picked, other in zip(halves, halves[::-1], strict=True):
        best = _best(objective, picked)
        gains.append(float(objective.mean(other[best]) - objective.mean(other[NOW])))
    return sum(gains) / HALVES


def _best(objective: Objective, metrics: np.ndarray) -> int:
    merit = objective.merit(metrics, metrics[NOW])
    return int(np.argmax(merit >= merit.max() - _SAME))


def _written(shares: np.ndarray, signs: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Weights whose sizes add up to 1, with the digits that a recipe gets: what is judged is what is kept."""
    weights = shares / scales
    weights /= weights.sum(axis=1, keepdims=True)
    rounded = [float(f"{weight:.{_DIGITS}g}") for weight in weights.ravel()]
    return signs * np.reshape(rounded, weights.shape) + 0.0  # no -0


def _parts(whole: int, count: int) -> list[int]:
    return [whole * (i + 1) // count - whole * i // count for i in range(count)]
