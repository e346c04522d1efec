"""AUC and average precision, in every slice and bootstrap replicate, by one walk down the sorted scores.

    AUC = sum_{i in P, j in N} w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (sum_P w sum_N w)
    AP  = sum_t (R_t - R_{t-1}) P_t

over the distinct scores t from the highest, with precision P_t and recall R_t of the rows scored t or more
(Hanley & McNeil 1982; average precision as in scikit-learn: no interpolation). Both need only the weight of
positives and of negatives above each row, which are kept for every slice and replicate while the walk goes
down. Scores are cut by range on disk (`partitions`), so memory holds a part of them.
"""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.partitions import SortedPart
from pipeline.evaluation.replicates import Draws
from pipeline.evaluation.row_sums import ratio

# Distinct positive scores at a time: what is held of them for each replicate stays in the cache.
STEPS = 256


def steps_down(
    new_group: np.ndarray, new_score: np.ndarray, positive: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts rows, of a group together from its highest score, into what a walk down takes at once.

    A step ends with a score that some positive has, or with the group: negatives on the way are above no
    other positive, so their sum will do.

    Args:
      new_group, new_score: (n,) bool, whether a group, or a run of one score in it, begins with the row.
      positive: (n,) bool.

    Returns:
      (n,) int, the step of each row, ascending from 0; (n,) bool, which rows are negatives that tie with
      positives, those at the end of their step.
    """
    score = np.cumsum(new_score) - 1
    has_positive = np.zeros(score[-1] + 1, bool)
    has_positive[score[positive]] = True
    starts = new_group[new_score] | np.r_[False, has_positive[:-1]]
    return (np.cumsum(starts) - 1)[score], ~positive & has_positive[score]


class RankSums:
    """Running sums of the walk.

    Replicates of a slice are one row of each state, its column 0 the sample itself.
    """

    def __init__(self, slices: int, replicates: int):
        """Takes how many slices and replicates there are."""
        shape = (slices, 1 + replicates)
        self._positive, self._negative = np.zeros(shape), np.zeros(shape)
        self._beaten, self._precision = np.zeros(shape), np.zeros(shape)

    @property
    def auc(self) -> np.ndarray:
        """(slices, 1 + replicates), NaN where a class has no weight."""
        return ratio(self._beaten, self._positive * self._negative)

    @property
    def weight(self) -> np.ndarray:
        """(slices, 1 + replicates) of both classes."""
        return self._positive + self._negative

    @property
    def average_precision(self) -> np.ndarray:
        """(slices, 1 + replicates), NaN where there is no positive."""
        return ratio(self._precision, self._positive)

    def add(self, part: SortedPart, replicates: int, seed: int) -> None:
        """Walks on through a part, all of whose scores are below those of the parts before.

        Records have the fields `unit` (uint64), `score`, `positive` (bool), `weight`, and `slices`
        (memberships,): the ids of the slices that the row is in, -1 for none.
        """
        if part.tied:
            # One score however many rows: its weight is all there is to know.
            sums = np.zeros((2 * len(self._positive), self._positive.shape[1]))
            for block in part.blocks():
                draws = Draws(block["unit"], replicates, seed)
                for ids in block["slices"].T:
                    rows = np.flatnonzero(ids >= 0)
                    cells = 2 * ids[rows] + block["positive"][rows]
                    sums += draws.sums(cells, rows, block["weight"][rows], len(sums))
            for slice_id, (negative, positive) in enumerate(zip(sums[::2], sums[1::2], strict=True)):
                self._descend(slice_id, positive[None], negative[None], negative[None])
            return
        for block in part.blocks():
            down = block[::-1]
            draws = Draws(down["unit"], replicates, seed)
            for ids in down["slices"].T:
                self._walk(down, ids, draws)

    def _walk(self, block: np.ndarray, ids: np.ndarray, draws: Draws) -> None:
        rows = np.argsort(ids, kind="stable")  # of a slice together, from the highest score
        rows = rows[np.searchsorted(ids[rows], 0) :]
        if len(rows) == 0:
            return
        slices, scores, positive = ids[rows], block["score"][rows], block["positive"][rows]
        weights = block["weight"][rows]
        new_slice = np.r_[True, slices[1:] != slices[:-1]]
        new_score = new_slice | np.r_[True, scores[1:] != scores[:-1]]
        step, tied = steps_down(new_slice, new_score, positive)
        steps = step[-1] + 1
        negative = ~positive
        weight = {
            name: draws.matrix(step[kind], rows[kind], weights[kind], steps)
            for name, kind in (("positive", positive), ("negative", negative), ("tied", tied))
        }
        first = np.flatnonzero(new_slice)
        bounds = np.r_[step[first], steps]
        for slice_id, start, end in zip(slices[first], bounds[:-1], bounds[1:], strict=True):
            for at in range(start, end, STEPS):
                here = slice(at, min(at + STEPS, end))
                sums = {name: of[here] for name, of in weight.items()}
                ties = draws.times(sums["tied"]) if sums["tied"].nnz else None
                self._descend(slice_id, draws.times(sums["positive"]), draws.times(sums["negative"]), ties)

    def _descend(
        self, slice_id: int, positive: np.ndarray, negative: np.ndarray, tied: np.ndarray | None
    ) -> None:
        """Goes down some steps: (steps, 1 + replicates) weights; `tied` is the negatives' at the step's end,
        level with its positives."""
        above, below = np.cumsum(positive, axis=0), np.cumsum(negative, axis=0)
        above += self._positive[slice_id]
        below += self._negative[slice_id]
        # In place from here: these arrays are the walk's cost.
        self._positive[slice_id], self._negative[slice_id] = above[-1], below[-1]
        below += above
        share = np.divide(above, below, out=below, where=below > 0)
        share *= positive
        self._precision[slice_id] += share.sum(axis=0)
        above -= positive
        above *= negative
        self._beaten[slice_id] += above.sum(axis=0)
        if tied is not None:
            self._beaten[slice_id] += 0.5 * (tied * positive).sum(axis=0)
