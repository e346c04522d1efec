"""AUC within groups whose rows are several users', in every bootstrap replicate.

A replicate draws users, and with them rows: a group's AUC is then that of its rows, each weighed by how often
its user was drawn, and its weight theirs. Groups of one user have the same AUC in every replicate that draws
the user, and need none of this; see `groups`. Rows are sorted once, and walked down as in `ranks`, here over
many groups at a time.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pipeline.evaluation.groups import Groups
from pipeline.evaluation.ranks import STEPS, steps_down
from pipeline.evaluation.replicates import Draws
from pipeline.evaluation.row_sums import ratio


def of_several_units(groups: Groups, draws: Draws) -> np.ndarray:
    """(g,) bool: whether the rows of each group are of more than one unit."""
    unit = draws.codes[groups.rows]
    differs = unit != np.repeat(unit[groups.first], groups.sizes())
    return np.logical_or.reduceat(differs, groups.first)


def add_shared_groups(
    sums: np.ndarray, groups: Groups, positive: np.ndarray, weights: np.ndarray, draws: Draws
) -> None:
    """Adds groups to the sums of GAUC.

    Args:
      sums: (slices, GAUC_TERMS, 1 + replicates), added to in place.
      groups: of the block whose columns follow.
      positive, weights: (n,) of the block.
      draws: of the block's units.
    """
    up = positive[groups.rows]
    of_both = np.logical_or.reduceat(up, groups.first) & np.logical_or.reduceat(~up, groups.first)
    if not of_both.any():
        return
    groups = groups.only(of_both)
    for slices, ups, downs, beaten in _finished(groups, positive, weights, draws):
        total = ups * downs
        used = total > 0
        worth = np.where(used, (ups + downs) * ratio(beaten, total), 0.0)
        found, first = np.unique(slices, return_index=True)
        for term, values in enumerate((worth, np.where(used, ups + downs, 0.0), used * 1.0)):
            sums[found, term] += np.add.reduceat(values, first, axis=0)


def _finished(groups: Groups, positive: np.ndarray, weights: np.ndarray, draws: Draws):
    """Walks down the groups, some steps at a time, and yields those that ended: their slices (ascending), and
    of each (1 + replicates,) the weight of positives, of negatives, and the product of those in order."""
    up = positive[groups.rows]
    new_group, new_score = np.zeros(len(up), bool), np.zeros(len(up), bool)
    new_group[groups.first], new_score[groups.ties] = True, True
    step, tied = steps_down(new_group, new_score, up)
    steps, weight = step[-1] + 1, weights[groups.rows]
    matrices = [draws.matrix(step[kind], groups.rows[kind], weight[kind], steps) for kind in (up, ~up, tied)]
    ends = np.r_[step[groups.first[1:]], steps]  # where each group's steps end
    slices = groups.slices[groups.first]
    held = np.zeros((3, draws.counts.shape[1]))  # of the group that goes on
    for start in range(0, steps, STEPS):
        end = min(start + STEPS, steps)
        ups, downs, ties = (draws.times(matrix[start:end]) for matrix in matrices)
        open_, done = np.searchsorted(ends, (start, end), side="right")
        here = slice(open_, min(done + 1, len(ends)))
        cuts = np.r_[start, np.minimum(ends[here], end)] - start
        above = np.cumsum(ups, axis=0) - ups
        above -= np.repeat(above[np.minimum(cuts[:-1], end - start - 1)], np.diff(cuts), axis=0)
        above[: cuts[1]] += held[0]
        above *= downs
        above += 0.5 * ties * ups
        # Not by differences of a running sum: where nothing was drawn the sum is 0 and not nearly 0.
        gather = sparse.csr_matrix((np.ones(end - start), np.arange(end - start), cuts))
        found = np.stack([gather @ of for of in (ups, downs, above)])
        found[:, 0] += held
        held = found[:, -1] if done < here.stop else np.zeros_like(held)
        if done > open_:
            yield slices[open_:done], *found[:, : done - open_]
