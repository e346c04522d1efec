"""Grouped AUC: how well rows are ordered within a user (Zhou et al. 2018, DIN, eq. 7).

    GAUC = sum_g W_g AUC_g / sum_g W_g

over the groups g that hold both classes, W_g being the group's impressions (sum of weights).
Groups of one class have no AUC and say nothing about the order; they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.auc import require_finite


@dataclass(frozen=True)
class GroupedAuc:
    """AUC of every group that holds both classes.

    Attributes:
      groups: (g,) the group codes used.
      aucs: (g,) AUC within each.
      impressions: (g,) sum of the weights in each.
      all_impressions: sum of the weights of all rows, those of left-out groups and of rows
        without a group included.
    """

    groups: np.ndarray
    aucs: np.ndarray
    impressions: np.ndarray
    all_impressions: float

    @property
    def coverage(self) -> float:
        """Share of impressions that lie in the groups used, 0 to 1; NaN without rows."""
        if not self.all_impressions > 0:
            return float("nan")
        return float(self.impressions.sum() / self.all_impressions)

    def gauc(self, factors: np.ndarray | float = 1.0) -> float:
        """GAUC with all rows of each group weighted by one more factor, (g,) or a number.

        A factor common to a group's rows leaves its AUC as it is and scales its impressions.
        NaN where no group has weight.
        """
        weights = self.impressions * factors
        total = weights.sum()
        return float((weights * self.aucs).sum() / total) if total > 0 else float("nan")


def grouped_auc(
    labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, weights: np.ndarray | None = None
) -> GroupedAuc:
    """AUC within each group by one sort of all rows.

    Args:
      labels: (n,) float or bool; positive above 0.5.
      scores: (n,) float, finite.
      groups: (n,) int; below 0 is a row without a group, which only `all_impressions` counts.
      weights: (n,) float, not negative; None is 1 a row.

    Raises:
      ValueError: on lengths that differ and on scores that are not finite.
    """
    labels, scores, groups = (np.asarray(a) for a in (labels, scores, groups))
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if not labels.shape == scores.shape == groups.shape == weights.shape:
        raise ValueError(
            f"labels {labels.shape}, scores {scores.shape}, groups {groups.shape} and "
            f"weights {weights.shape} must have one length"
        )
    require_finite(scores)
    all_impressions = float(weights.sum())
    kept = np.flatnonzero((groups >= 0) & (weights > 0))
    kept = kept[np.lexsort((scores[kept], groups[kept]))]
    if len(kept) == 0:
        return GroupedAuc(np.empty(0, np.int64), np.empty(0), np.empty(0), all_impressions)
    group, score, weight = groups[kept], scores[kept], weights[kept]
    positive = np.where(labels[kept] > 0.5, weight, 0.0)
    negative = weight - positive

    new_group = np.r_[True, group[1:] != group[:-1]]
    new_tie = new_group | np.r_[True, score[1:] != score[:-1]]
    tie_starts = np.flatnonzero(new_tie)
    first_ties = np.flatnonzero(new_group[tie_starts])
    tie_positive = np.add.reduceat(positive, tie_starts)
    tie_negative = np.add.reduceat(negative, tie_starts)
    below = np.cumsum(tie_negative) - tie_negative
    below -= np.repeat(below[first_ties], np.diff(np.r_[first_ties, len(tie_starts)]))
    beaten = np.add.reduceat(tie_positive * (below + 0.5 * tie_negative), first_ties)
    group_positive = np.add.reduceat(tie_positive, first_ties)
    group_negative = np.add.reduceat(tie_negative, first_ties)

    both = (group_positive > 0) & (group_negative > 0)
    return GroupedAuc(
        groups=group[tie_starts[first_ties[both]]],
        aucs=beaten[both] / (group_positive[both] * group_negative[both]),
        impressions=group_positive[both] + group_negative[both],
        all_impressions=all_impressions,
    )
