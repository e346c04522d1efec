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


class RankedScores:
    """Scores sorted once, so that AUC under many weightings of the same rows costs no sort.

    Only negatives need a running weight; each positive looks up how much negative weight lies
    below it, and adds half of what ties with it.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray):
        """Sorts the rows.

        Args:
          labels: (n,) float or bool; a row is positive where the label is above 0.5.
          scores: (n,) float, finite.
          weights: (n,) float, not negative.

        Raises:
          ValueError: if the three do not have one length, or a score is not finite.
        """
        labels, scores, weights = (np.asarray(a) for a in (labels, scores, weights))
        if not (labels.shape == scores.shape == weights.shape and labels.ndim == 1):
            raise ValueError(
                f"labels {labels.shape}, scores {scores.shape} and weights {weights.shape} "
                "must be vectors of one length"
            )
        require_finite(scores)
        kept = np.flatnonzero(weights > 0)
        kept = kept[np.argsort(scores[kept], kind="stable")]
        positive = labels[kept] > 0.5
        # Both in the order of scores: the look-ups below then walk memory forwards.
        self.positives, self.negatives = kept[positive], kept[~positive]
        ranked, sought = scores[self.negatives], scores[self.positives]
        self._below = np.searchsorted(ranked, sought, side="left")
        at_or_below = np.searchsorted(ranked, sought, side="right")
        self._tied = np.flatnonzero(at_or_below > self._below)
        self._tied_below, self._tied_at_or_below = self._below[self._tied], at_or_below[self._tied]
        self.positive_weights = weights[self.positives].astype(np.float64)
        self.negative_weights = weights[self.negatives].astype(np.float64)

    def auc(
        self, positive_factors: np.ndarray | float = 1.0, negative_factors: np.ndarray | float = 1.0
    ) -> float:
        """AUC with each row's weight multiplied by a factor.

        Args:
          positive_factors: a number, or one factor a row of `positives`.
          negative_factors: a number, or one factor a row of `negatives`.

        Returns:
          A number in [0, 1], or NaN where a class has no weight.
        """
        positive = self.positive_weights * positive_factors
        running = np.empty(len(self.negatives) + 1)
        running[0] = 0.0
        np.cumsum(self.negative_weights * negative_factors, out=running[1:])
        total = positive.sum() * running[-1]
        if not total > 0:
            return float("nan")
        # NumPy's sums, here and in the other metrics, and not BLAS's dot products: those wait on
        # threads, and add in an order that depends on how many there are.
        beaten = (positive * running[self._below]).sum()
        ties = running[self._tied_at_or_below] - running[self._tied_below]
        tied = (positive[self._tied] * ties).sum()
        return float((beaten + 0.5 * tied) / total)


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
    labels = np.asarray(labels)
    if weights is None:
        weights = np.ones(labels.shape)
    return RankedScores(labels, scores, weights).auc()
