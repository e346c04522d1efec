"""Poisson bootstrap by user: how often each user is drawn in each replicate, and sums under those draws.

A user's rows are not independent, so users are resampled, not rows. Drawing n users with replacement is,
for large n, giving each an independent Poisson(1) count (Oza 2001; Chamandy et al. 2012, "Estimating
uncertainty for massive data streams"). Here the counts are a function of the user's hash, the replicate and
a seed alone: the same in whatever order, file, partition or process the rows are met, and common to all
metrics and both models, so that a difference of two loses the noise they share.

64 hashed bits serve four replicates, 16 bits each: P(count <= k) is e^-1 sum_{i<=k} 1/i! rounded to
1/65,536, which leaves mean and variance within 5e-5 of 1.
"""

from __future__ import annotations

from math import exp, factorial

import numpy as np
from scipy import sparse

_BITS = 1 << 16
# Hashed at a time: they stay in the cache.
_UNITS = 256
# Counts that are numbers of 8 bytes at a time.
_CELLS = 1 << 20
# A count is above k where its 16 bits are at or above the k-th threshold.
_THRESHOLDS = [
    threshold
    for k in range(12)
    if (threshold := round(_BITS * sum(exp(-1.0) / factorial(i) for i in range(k + 1)))) < _BITS
]


def splitmix64(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014) of uint64s; wraps modulo 2^64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def poisson_counts(units: np.ndarray, replicates: int, seed: int = 0) -> np.ndarray:
    """How often each unit is drawn in each replicate.

    Args:
      units: (u,) uint64 hashes, one a unit (user).
      replicates: how many.
      seed: of the whole bootstrap.

    Returns:
      (u, replicates) uint8 counts from Poisson(1).
    """
    groups = np.arange(-(-replicates // 4), dtype=np.uint64)
    keys = splitmix64(splitmix64(np.array([seed], np.uint64)) + groups)
    counts = np.zeros((len(units), replicates), np.uint8)
    for start in range(0, len(units), _UNITS):
        some = slice(start, start + _UNITS)
        hashes = splitmix64(units[some, None] ^ keys)
        # Little-endian whatever the machine, so that replicates have one order everywhere.
        bits = hashes.astype("<u8", copy=False).view("<u2")[:, :replicates]
        for threshold in _THRESHOLDS:
            counts[some] += bits >= threshold
    return counts


class Draws:
    """The draws of the units that some rows belong to.

    Attributes:
      codes: (n,) the place of each row's unit among the distinct units.
      counts: (u, 1 + replicates) uint8; column 0 is 1: the sample itself, beside its replicates. No wider,
        because the more data there are, the more units are in a part of them, up to one a row.
    """

    def __init__(self, units: np.ndarray, replicates: int, seed: int = 0):
        """Takes (n,) uint64, the hash of each row's unit."""
        distinct, self.codes = np.unique(units, return_inverse=True)
        self.counts = np.ones((len(distinct), 1 + replicates), np.uint8)
        self.counts[:, 1:] = poisson_counts(distinct, replicates, seed)

    def matrix(self, cells: np.ndarray, rows: np.ndarray, values: np.ndarray, size: int) -> sparse.csr_matrix:
        """(size, u): the values of some rows summed by cell and unit. `times` makes `sums` of it.

        Args:
          cells: (m,) int below `size`, to which cell each value is added.
          rows: (m,) int, the row that each value comes from.
          values: (m,) float.
        """
        return sparse.csr_matrix((values, (cells, self.codes[rows])), shape=(size, len(self.counts)))

    def sums(self, cells: np.ndarray, rows: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
        """(size, 1 + replicates): each cell's sum, in the sample and in every replicate; see `matrix`."""
        return self.times(self.matrix(cells, rows, values, size))

    def times(self, matrix: sparse.csr_matrix) -> np.ndarray:
        """(size, 1 + replicates): a matrix as of `matrix`, or some of its rows, times `counts`."""
        counts, (size, units) = self.counts, matrix.shape
        if matrix.nnz < units:
            used, places = np.unique(matrix.indices, return_inverse=True)
            units, counts = len(used), counts[used]
            matrix = sparse.csr_matrix((matrix.data, places, matrix.indptr), shape=(size, units))
        width = max(1, _CELLS // max(units, 1))  # as numbers that can be multiplied, some columns at a time
        columns = (counts[:, at : at + width] for at in range(0, counts.shape[1], width))
        return np.concatenate([matrix @ of.astype(np.float64) for of in columns], axis=1)


def percentile_intervals(replicates: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The central `level` of each row's replicates (Efron & Tibshirani 1993, ch. 13).

    Args:
      replicates: (m, r) float; NaN is a replicate without an answer.

    Returns:
      (m, 2) lower and upper ends, interpolated linearly; NaN where fewer than nine in ten replicates have
      an answer: the rest is then a biased sample (few positives, gone in many draws) and its spread would
      say too little.
    """
    rows, count = replicates.shape
    ends = np.full((rows, 2), np.nan)
    known = count - np.isnan(replicates).sum(axis=1)
    enough = np.flatnonzero((known > 0) & (known >= 0.9 * count))
    ordered = np.sort(replicates[enough], axis=1)  # NaN last
    for side, share in enumerate((0.5 * (1 - level), 0.5 * (1 + level))):
        place = share * (known[enough] - 1)
        below = place.astype(np.int64)
        above = np.minimum(below + 1, known[enough] - 1)
        at = np.arange(len(enough))
        low, high = ordered[at, below], ordered[at, above]
        ends[enough, side] = low + (high - low) * (place - below)
    return ends
