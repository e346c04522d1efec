"""Spearman's correlation of scores and labels, in every slice and replicate, out of memory.

With mid-ranks r = (weight below + half the weight tied) / W of scores and s of labels,

    rho = (t_rs - 1/4) / sqrt((t_rr - 1/4) (t_ss - 1/4)),    t_rs = sum w r s / W

(every mean rank is 1/2). Ranks depend on all rows, so a replicate would need a sort of its own; instead the
t's of replicates are linearised around the sample, as in the infinitesimal jackknife (Efron & Tibshirani
1993, ch. 21): a row of weight w adds w (phi - 3 t), where

    phi_rs = r s + mean of s above the row's score + mean of r above its label,   phi_rr = 1 - tau^2 / 4,

tau being the share of the weight that ties with the row. What is left out is of order 1 / users. That makes
them sums over users. Rows are sorted three times on disk: by score, by label, and by score again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.evaluation.partitions import SortedParts
from pipeline.evaluation.replicates import Draws
from pipeline.evaluation.row_sums import ratio

_TERMS = 4  # sums of w phi_rs, w phi_rr, w phi_ss, w


def spearman(
    blocks: Iterable[np.ndarray],
    bounds: tuple[np.ndarray, np.ndarray],
    folder: Path,
    slices: int,
    replicates: int,
    seed: int,
) -> np.ndarray:
    """Spearman's correlation.

    Args:
      blocks: records with fields `unit` (uint64), `score`, `label`, `weight`, `slices` (memberships,), the
        ids of each row's slices, -1 for none.
      bounds: of `range_bounds`, for scores and for labels.
      folder: for files on the way.
      slices: how many there are.

    Returns:
      (slices, 1 + replicates), NaN where scores or labels do not differ.
    """
    parts = None
    for block in blocks:
        if parts is None:
            parts = SortedParts(folder / "by_score", _with_ranks(block.dtype), "score", bounds[0])
        wider = np.zeros(len(block), _with_ranks(block.dtype))
        for name in block.dtype.names:
            wider[name] = block[name]
        parts.add(wider)
    sums = np.zeros((slices * _TERMS, 1 + replicates))
    if parts is not None:
        dtype = parts.dtype
        by_label = SortedParts(folder / "by_label", dtype, "label", bounds[1])
        for block, (rank,), (tied,) in _climb(parts, "score", slices, _weights):
            block["score_rank"], block["score_tied"] = rank, tied
            by_label.add(block)
        again = SortedParts(folder / "again", dtype, "score", bounds[0])
        totals = np.zeros(slices)
        for block, (rank, below), (tied, _) in _climb(
            by_label, "label", slices, _weights, lambda b: b["weight"][:, None] * b["score_rank"]
        ):
            block["label_rank"], block["label_tied"], block["score_ranks_below"] = rank, tied, below
            again.add(block)
            for ids in block["slices"].T:
                totals += np.bincount(ids[ids >= 0], block["weight"][ids >= 0], minlength=slices)
        for block, (below,), _ in _climb(
            again, "score", slices, lambda b: b["weight"][:, None] * b["label_rank"]
        ):
            draws = Draws(block["unit"], replicates, seed)
            for j, ids in enumerate(block["slices"].T):
                sums += _sums(block, j, ids, below[:, j], totals, draws, len(sums))
    by_term = sums.reshape(slices, _TERMS, 1 + replicates)
    means = ratio(by_term[:, :3], by_term[:, 3:])
    # t of the sample is a third of its mean phi.
    both, score, label = np.moveaxis(means - means[:, :, :1] * 2.0 / 3.0, 1, 0) - 0.25
    varies = (score > 1e-12) & (label > 1e-12)
    return ratio(both, np.where(varies, np.sqrt(np.where(varies, score * label, 0.0)), 0.0))


def _with_ranks(dtype: np.dtype) -> np.dtype:
    per_slice = dtype["slices"].shape
    names = ("score_rank", "score_tied", "label_rank", "label_tied", "score_ranks_below")
    return np.dtype([(n, dtype[n]) for n in dtype.names] + [(n, np.float64, per_slice) for n in names])


def _weights(block: np.ndarray) -> np.ndarray:
    return np.broadcast_to(block["weight"][:, None], block["slices"].shape)


Values = Callable[[np.ndarray], np.ndarray]


def _climb(
    parts: SortedParts, key: str, slices: int, *values: Values
) -> Iterator[tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]]:
    """Walks up sorted records: each block, and of each of `values` (block -> (n, memberships)) the sum below
    each row in its slice, ties half, and the sum of those tied with it."""
    below = np.zeros((len(values), slices))
    for part in parts:
        if part.tied:
            tied = np.zeros_like(below)
            for block in part.blocks():
                for total, of in zip(tied, values, strict=True):
                    for ids, value in zip(block["slices"].T, of(block).T, strict=True):
                        total += np.bincount(ids[ids >= 0], value[ids >= 0], minlength=slices)
            for block in part.blocks():
                ids = block["slices"]
                yield (
                    block,
                    [(b + 0.5 * t)[ids] for b, t in zip(below, tied, strict=True)],
                    [t[ids] for t in tied],
                )
            below += tied
            continue
        for block in part.blocks():
            middle, tied = [], []
            for total, of in zip(below, values, strict=True):
                columns = [
                    _middle(block[key], ids, value, total)
                    for ids, value in zip(block["slices"].T, of(block).T, strict=True)
                ]
                middle.append(np.stack([m for m, _ in columns], axis=1))
                tied.append(np.stack([t for _, t in columns], axis=1))
            yield block, middle, tied


def _middle(
    keys: np.ndarray, ids: np.ndarray, values: np.ndarray, below: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What `_climb` says of one value and kind of slice; adds the block to (slices,) `below`."""
    middle, tied = np.zeros(len(keys)), np.zeros(len(keys))
    order = np.argsort(ids, kind="stable")
    order = order[np.searchsorted(ids[order], 0) :]
    if len(order) == 0:
        return middle, tied
    of, key, value = ids[order], keys[order], values[order]
    new_slice = np.r_[True, of[1:] != of[:-1]]
    ties = np.flatnonzero(new_slice | np.r_[True, key[1:] != key[:-1]])
    first = np.flatnonzero(new_slice[ties])
    sums = np.add.reduceat(value, ties)
    before = np.cumsum(sums) - sums
    here = of[ties[first]]
    before += np.repeat(below[here] - before[first], np.diff(np.r_[first, len(ties)]))
    sizes = np.diff(np.r_[ties, len(order)])
    middle[order] = np.repeat(before + 0.5 * sums, sizes)
    tied[order] = np.repeat(sums, sizes)
    below[here] += np.add.reduceat(sums, first)
    return middle, tied


def _sums(
    block: np.ndarray,
    j: int,
    ids: np.ndarray,
    label_ranks_below: np.ndarray,
    totals: np.ndarray,
    draws: Draws,
    size: int,
) -> np.ndarray:
    """What a block adds to the terms, of its j-th kind of slice."""
    rows = np.flatnonzero(ids >= 0)
    total, weight = totals[ids[rows]], block["weight"][rows]
    score, label = block["score_rank"][rows, j] / total, block["label_rank"][rows, j] / total
    # Ranks of all rows sum to half the squared weight.
    labels_above = 0.5 - label_ranks_below[rows] / total**2
    scores_above = 0.5 - block["score_ranks_below"][rows, j] / total**2
    terms = (
        score * label + labels_above + scores_above,
        1.0 - (block["score_tied"][rows, j] / total) ** 2 / 4.0,
        1.0 - (block["label_tied"][rows, j] / total) ** 2 / 4.0,
        np.ones(len(rows)),
    )
    cells = ids[rows].astype(np.int64) * _TERMS
    return draws.sums(
        np.concatenate([cells + t for t in range(_TERMS)]),
        np.tile(rows, _TERMS),
        np.concatenate([weight * term for term in terms]),
        size,
    )
