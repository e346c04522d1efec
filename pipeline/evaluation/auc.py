"""Exact weighted area under the ROC curve.

AUC is the probability that a positive row is scored above a negative one, ties
counting one half (Hanley & McNeil 1982); with weights,

    AUC = sum_{i in P, j in N} w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (sum_P w sum_N w).

A histogram of scores only approximates it (badly where scores cluster), so rows are sorted.
"""

from __future__ import annotations

import numpy as np


def require_finite(scores: np.ndarray) -> None:
    """Raises ValueError, saying how many, where some scores are NaN or infinite: they have no rank."""
    bad = np.count_nonzero(~np.isfinite(scores))
    if bad:
        raise ValueError(f"{bad:,} of {len(scores):,} scores are not finite numbers")


def auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Exact ROC AUC, O(n log n).

    Args:
      labels: (n,) float or bool; a row is positive where the label is above 0.5.
      scores: (n,) float, finite; only their order matters.
      weights: (n,) float, not negative; None is 1 a row.

    Returns:
      A number in [0, 1], or NaN where fewer than two classes have weight.

    Raises:
      ValueError: on lengths that differ and on scores that are not finite.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    weights = np.ones(labels.shape) if weights is None else np.asarray(weights, np.float64)
    if not (labels.shape == scores.shape == weights.shape and labels.ndim == 1):
        raise ValueError(
            f"labels {labels.shape}, scores {scores.shape} and weights {weights.shape} "
            "must be vectors of one length"
        )
    require_finite(scores)
    order = np.argsort(scores, kind="stable")
    positive = np.where(labels[order] > 0.5, weights[order], 0.0)
    negative = weights[order] - positive
    total = positive.sum() * negative.sum()
    if not total > 0:
        return float("nan")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positive, negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(negative) - negative
    # NumPy's sums and not BLAS's dot products, which add in an order that depends on the threads.
    return float((positive * (below + 0.5 * negative)).sum() / total)
