"""Metrics of the order within groups: AUC within users (or any role), and ranking metrics within requests.

All are means over groups of what each group's order is worth:

    GAUC = sum_g W_g AUC_g / sum_g W_g            (Zhou et al. 2018, eq. 7)

over groups of both classes, W_g the sum of the group's weights; and NDCG@k, MRR and recall@k over requests
with a positive row, a request's weight being its rows' mean weight. Rows of one score have no order: NDCG,
reciprocal rank and recall are the means over all their orders (McSherry & Najork 2008). A request's worth and
weight belong to the users of its rows, in shares, and so do a group's where all its rows are one user's: that
makes the metrics sums over users. The AUC of a group of several users (an item, a position) is another one in
each replicate; `shared_groups` has those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from pipeline.evaluation.row_sums import Entries, gather_entries, ratio

# sum of W AUC, sum of W, groups.
GAUC_TERMS = 3
# sums of w NDCG, w RR, w recall, w.
REQUEST_TERMS = 4


@dataclass(frozen=True)
class Groups:
    """The rows of one kind of slice, by slice, group and falling score.

    Attributes:
      rows: (m,) int, places in the block.
      slices: (m,) int, the slice of each.
      first: (g,) where each group begins.
      ties: (t,) where each run of one score within a group begins.
      first_ties: (g,) the first run of each group.
    """

    rows: np.ndarray
    slices: np.ndarray
    first: np.ndarray
    ties: np.ndarray
    first_ties: np.ndarray

    def sizes(self) -> np.ndarray:
        """(g,) rows of each group."""
        return np.diff(np.r_[self.first, len(self.rows)])

    def tie_sizes(self) -> np.ndarray:
        """(t,) rows of each run."""
        return np.diff(np.r_[self.ties, len(self.rows)])

    def only(self, which: np.ndarray) -> Groups:
        """Those groups of which (g,) bool `which` says so."""
        rows = np.repeat(which, self.sizes())
        place = np.cumsum(rows) - rows
        ties = self.ties[rows[self.ties]]
        first = place[self.first[which]]
        ties = place[ties]
        return Groups(self.rows[rows], self.slices[rows], first, ties, np.searchsorted(ties, first))

    def before(self, of_ties: np.ndarray) -> np.ndarray:
        """(t,) the sum of (t,) numbers over the runs that come before in the same group."""
        running = np.cumsum(of_ties) - of_ties
        runs = np.diff(np.r_[self.first_ties, len(self.ties)])
        return running - np.repeat(running[self.first_ties], runs)


def sorted_groups(groups: np.ndarray, scores: np.ndarray, slices: np.ndarray) -> Iterator[Groups]:
    """Sorts a block once and yields its rows for each kind of slice (column of `slices`).

    Args:
      groups: (n,) uint64 hash of the group, 0 for none.
      scores: (n,) float, finite.
      slices: (n, memberships) int, the ids of each row's slices, -1 for none.
    """
    some = np.flatnonzero(groups)
    some = some[np.lexsort((-scores[some], groups[some]))]
    for ids in slices[some].T:
        order = np.argsort(ids, kind="stable")
        order = order[np.searchsorted(ids[order], 0) :]
        rows, of = some[order], ids[order]
        if len(rows) == 0:
            continue
        new_group = np.ones(len(rows), bool)
        new_group[1:] = (of[1:] != of[:-1]) | (groups[rows[1:]] != groups[rows[:-1]])
        new_tie = new_group.copy()
        new_tie[1:] |= scores[rows[1:]] != scores[rows[:-1]]
        first, ties = np.flatnonzero(new_group), np.flatnonzero(new_tie)
        yield Groups(rows, of, first, ties, np.searchsorted(ties, first))


def gauc_entries(groups: Groups, positive: np.ndarray, weights: np.ndarray) -> Entries:
    """What rows add to GAUC: (rows of the block, cells, values), a cell being slice x GAUC_TERMS + term.

    `positive` and `weights` are the block's (n,) columns.
    """
    weight = weights[groups.rows]
    up = np.where(positive[groups.rows], weight, 0.0)
    tie_up, tie_down = np.add.reduceat(up, groups.ties), np.add.reduceat(weight - up, groups.ties)
    beaten = tie_down * (groups.before(tie_up) + 0.5 * tie_up)
    up, down, beaten = (np.add.reduceat(x, groups.first_ties) for x in (tie_up, tie_down, beaten))
    used = (up > 0) & (down > 0)
    auc = ratio(beaten, up * down)
    sizes = groups.sizes()
    by_row = np.repeat(used, sizes)
    shares = np.where(by_row, weight, 0.0)
    once = np.zeros(len(weight))
    once[groups.first[used]] = 1.0
    worth = np.where(by_row, weight * np.repeat(np.where(used, auc, 0.0), sizes), 0.0)
    return _cells(groups, gather_entries((0, worth), (1, shares), (2, once)), GAUC_TERMS)


def request_entries(groups: Groups, positive: np.ndarray, weights: np.ndarray, k: int) -> Entries:
    """What rows add to NDCG@k, MRR and recall@k, in cells of slice x REQUEST_TERMS + term."""
    relevant = np.add.reduceat(positive[groups.rows].astype(np.float64), groups.ties)
    size = groups.tie_sizes().astype(np.float64)
    start = groups.before(size).astype(np.int64)
    end = start + groups.tie_sizes()
    found = np.add.reduceat(relevant, groups.first_ties)
    # (k + 1,) what the first places are worth together.
    discounts = np.r_[0.0, np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))]
    top, above = np.minimum(end, k), np.minimum(start, k)
    gains = relevant * (discounts[top] - discounts[above]) / size
    ideal = discounts[np.minimum(found, k).astype(np.int64)]
    ndcg = ratio(np.add.reduceat(gains, groups.first_ties), ideal)
    recall = ratio(np.add.reduceat(relevant * (top - above) / size, groups.first_ties), found)

    leading = np.flatnonzero((relevant > 0) & (groups.before(relevant) == 0))
    reciprocal = np.zeros(len(found))
    reciprocal[found > 0] = _reciprocal_ranks(start[leading], size[leading], relevant[leading])

    sizes, rows = groups.sizes(), len(groups.rows)
    share = np.where(np.repeat(found > 0, sizes), weights[groups.rows], 0.0) / np.repeat(sizes, sizes)
    worth = [np.repeat(np.where(found > 0, value, 0.0), sizes) for value in (ndcg, reciprocal, recall)]
    worth.append(np.ones(rows))
    return _cells(groups, gather_entries(*((i, share * v) for i, v in enumerate(worth))), REQUEST_TERMS)


def _reciprocal_ranks(start: np.ndarray, size: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """(g,) mean 1 / rank of the first of `relevant` rows at random among `size` from rank start + 1 on.

    It is j-th with probability C(size - j, relevant - 1) / C(size, relevant).
    """
    choices = (size - relevant + 1).astype(np.int64)
    starts = np.cumsum(choices) - choices
    place = np.arange(choices.sum()) - np.repeat(starts, choices) + 1.0
    n, r, s = (np.repeat(x, choices) for x in (size, relevant, start))

    def log_choose(n, r):
        return gammaln(n + 1) - gammaln(r + 1) - gammaln(n - r + 1)

    chance = np.exp(log_choose(n - place, r - 1) - log_choose(n, r))
    chance[np.repeat(choices == 1, choices)] = 1.0
    return np.add.reduceat(chance / (s + place), starts) if len(starts) else np.zeros(0)


def _cells(groups: Groups, entries: Entries, terms: int) -> Entries:
    """Entries of groups' rows as those of a block's rows, in cells of slice x terms + term."""
    rows, which, values = entries
    return groups.rows[rows], groups.slices[rows] * terms + which, values
