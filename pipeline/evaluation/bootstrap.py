"""Poisson bootstrap by user for AUC, GAUC and their difference between two models.

A user's rows are not independent, so users are resampled, not rows. Drawing n users with
replacement is, for large n, giving each an independent Poisson(1) count (Oza 2001; Chamandy
et al. 2012, "Estimating uncertainty for massive data streams"). Here the count is a hash of
user and replicate: the same whatever the order of the rows, and common to all statistics of a
replicate, so that the difference of two models loses the noise they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, factorial
from typing import Protocol

import numpy as np

from pipeline.evaluation.auc import RankedScores
from pipeline.evaluation.gauc import GroupedAuc

# P(Poisson(1) <= k); the part beyond k = 17 is below the 2^-53 step of the uniform numbers.
_POISSON_CDF = np.cumsum([exp(-1.0) / factorial(k) for k in range(18)])


def _splitmix64(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014); wraps modulo 2^64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def poisson_counts(unit_hashes: np.ndarray, replicate: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in a replicate.

    Args:
      unit_hashes: (u,) uint64, one a unit (user).
      replicate: which replicate, from 0.
      seed: of the whole bootstrap.

    Returns:
      (u,) float64 counts from Poisson(1), a function of the arguments alone.
    """
    key = _splitmix64(np.array([seed], np.uint64)) + np.uint64(replicate)
    bits = _splitmix64(unit_hashes ^ _splitmix64(key))
    uniform = (bits >> np.uint64(11)) * 2.0**-53
    return np.searchsorted(_POISSON_CDF, uniform, side="right").astype(np.float64)


class Statistic(Protocol):
    """A number that can be computed again with units weighted."""

    def replicate(self, unit_counts: np.ndarray) -> float:
        """The statistic with every row of unit u counted unit_counts[u] times; NaN if undefined."""


class AucStatistic:
    """AUC whose rows belong to units; `units` is (n,) int, the unit of each row."""

    def __init__(self, ranked: RankedScores, units: np.ndarray):
        self._ranked = ranked
        self._positive_units = units[ranked.positives]
        self._negative_units = units[ranked.negatives]

    def replicate(self, unit_counts: np.ndarray) -> float:
        return self._ranked.auc(unit_counts[self._positive_units], unit_counts[self._negative_units])


class GaucStatistic:
    """GAUC whose groups are the units: a replicate is the same AUCs averaged by other weights."""

    def __init__(self, grouped: GroupedAuc):
        self._grouped = grouped

    def replicate(self, unit_counts: np.ndarray) -> float:
        return self._grouped.gauc(unit_counts[self._grouped.groups])


def bootstrap(
    statistics: Sequence[Statistic], unit_hashes: np.ndarray, replicates: int, seed: int = 0
) -> np.ndarray:
    """Replicates of several statistics of the same rows.

    Returns:
      (replicates, len(statistics)) float64; NaN where a replicate leaves a statistic undefined.
      Columns of one row share their draws, so they may be subtracted.
    """
    values = np.empty((replicates, len(statistics)))
    for r in range(replicates):
        counts = poisson_counts(unit_hashes, r, seed)
        values[r] = [statistic.replicate(counts) for statistic in statistics]
    return values


@dataclass(frozen=True)
class Interval:
    """A percentile interval, its ends included."""

    low: float
    high: float


def percentile_interval(replicates: np.ndarray, level: float = 0.95) -> Interval | None:
    """The central `level` of the replicates (Efron & Tibshirani 1993, ch. 13).

    Args:
      replicates: (r,) float; NaN is a replicate without an answer.

    Returns:
      None where fewer than nine in ten replicates have an answer: the rest is then a biased
      sample (few positives, gone in many draws) and its spread would say too little.
    """
    known = replicates[~np.isnan(replicates)]
    if len(known) == 0 or len(known) < 0.9 * len(replicates):
        return None
    low, high = np.percentile(known, [50.0 * (1 - level), 50.0 * (1 + level)])
    return Interval(float(low), float(high))
