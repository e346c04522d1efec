"""How much of one model's order within requests another keeps, in every slice and replicate.

Two means over requests, of every row that was shown, its label known or not:

    rank_correlation = mean_g rho_g,        rho_g Spearman's correlation of the two scores in request g
    top_k_overlap    = mean_g |A_g n B_g| / k,        A_g, B_g the first k rows of each

Spearman's is with mid-ranks. Where one model gives all rows of a request one score and the other does not,
rho is 0: no order is kept; where both do, or there is one row, the request has no order and does not count.
Of overlap only requests of more than k rows count. Rows tied at the k-th place are among the first k in
shares; the two models' shares of a row overlap in the smaller, so that equal orders overlap whole.

A request's weight is 1, in shares of its rows' users: that makes both sums over users, and a replicate is as
in `groups`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.engine import Bootstrap
from pipeline.evaluation.groups import Groups, sorted_groups
from pipeline.evaluation.partitions import Partitions, hash_parts, parts_for
from pipeline.evaluation.records import ScoreFiles, floats, key_hashes, slice_columns
from pipeline.evaluation.row_sums import Entries, gather_entries, ratio
from pipeline.evaluation.slicing import Slices

# sums of rho, requests of it, of overlap, requests of it
RANKING_TERMS = 4


@dataclass(frozen=True)
class Rankings:
    """What is kept of a task's order.

    Attributes:
      metrics: "rank_correlation", "top_k_overlap" -> (slices, 1 + replicates), NaN where no request counts.
      examples: (slices,) rows that are in a request.
      fault: why nothing could be computed, where a score is not a finite number.
    """

    metrics: dict[str, np.ndarray]
    examples: np.ndarray
    fault: str | None = None


def ranking_entries(
    requests: np.ndarray, scores: np.ndarray, baseline: np.ndarray, slices: np.ndarray, k: int
) -> Entries:
    """What rows of whole requests add: (rows, cells, values), a cell being slice x RANKING_TERMS + term.

    Args:
      requests: (n,) uint64 hash of the request, 0 for none.
      scores, baseline: (n,) float, finite.
      slices: (n, memberships) int, the ids of each row's slices, -1 for none.
      k: how many rows are the first.
    """
    found = []
    of_both = (sorted_groups(requests, x, slices) for x in (scores, baseline))
    for ours, theirs in zip(*of_both, strict=True):
        sizes = ours.sizes()
        rank, top = np.empty((2, len(requests))), np.empty((2, len(requests)))
        for i, groups in enumerate((ours, theirs)):
            rank[i, groups.rows], top[i, groups.rows] = _places(groups, k)
        centered = rank[:, ours.rows] - 0.5 * (np.repeat(sizes, sizes) + 1.0)
        products = (centered[0] * centered[1], centered[0] ** 2, centered[1] ** 2)
        both, own, other = (np.add.reduceat(p, ours.first) for p in products)
        ordered = (own > 0) | (other > 0)
        rho = np.where(ordered, np.nan_to_num(ratio(both, np.sqrt(own * other))), 0.0)
        longer = sizes > k
        shared = np.add.reduceat(np.minimum(*top[:, ours.rows]), ours.first)
        terms = (rho, ordered * 1.0, np.where(longer, shared / k, 0.0), longer * 1.0)
        rows, which, values = gather_entries(
            *((i, np.repeat(term / sizes, sizes)) for i, term in enumerate(terms))
        )
        found.append((ours.rows[rows], ours.slices[rows] * RANKING_TERMS + which, values))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def _places(groups: Groups, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each of the groups' rows its mid-rank from the top, and which share of it is among the first k."""
    size = groups.tie_sizes()
    above = groups.before(size)
    share = np.clip((k - above) / size, 0.0, 1.0)
    return np.repeat(above + 0.5 * (size + 1.0), size), np.repeat(share, size)


def measure_rankings(
    files: ScoreFiles, tasks: Sequence[str], has_user: bool, slices: Slices, bootstrap: Bootstrap, k: int
) -> dict[str, Rankings]:
    """Holds each task's `prediction` against its `baseline` within `role/request`.

    Args:
      files: of scores with both columns of each task; an order of classes counts by the expected class.
      tasks: their names.
      has_user: whether there is a `role/user` to draw; else requests are drawn.
      slices: those that rows are told apart by.
      bootstrap: how many replicates.
      k: how many rows are the first.
    """
    columns = ["role/request", *(["role/user"] if has_user else [])]
    columns += [f"slice/{feature}" for feature in slices.features]
    scores = [f"{task}/{model}" for task in tasks for model in ("prediction", "baseline")]
    dtype = np.dtype(
        [("unit", "u8"), ("request", "u8"), ("slices", "i4", (1 + len(slices.kinds),))]
        + [("scores", "f8", (len(scores),))]
    )
    sums = np.zeros((len(tasks), len(slices.names) * RANKING_TERMS, 1 + bootstrap.replicates))
    examples, bad = np.zeros(len(slices.names), np.int64), np.zeros(len(tasks), np.int64)
    with tempfile.TemporaryDirectory(prefix="rankings-") as folder:
        partitions, parts = Partitions(Path(folder), dtype), parts_for(files.rows)
        for batch in files.batches([*columns, *scores]):
            request = key_hashes(batch["role/request"])
            user = key_hashes(batch["role/user"]) if has_user else request
            ids = slices.ids(slice_columns(batch, slices.features), batch.num_rows)
            kept = np.flatnonzero(request)
            records = np.empty(len(kept), dtype)
            records["request"], records["slices"] = request[kept], ids[kept]
            records["unit"] = np.where(user > 0, user, request)[kept]
            for i, score in enumerate(scores):
                records["scores"][:, i] = _number(floats(batch[score]))[kept]
            finite = np.isfinite(records["scores"]).reshape(-1, len(tasks), 2).all(axis=2)
            bad += (~finite).sum(axis=0)
            for member in ids[kept].T:
                examples += np.bincount(member[member >= 0], minlength=len(examples))
            partitions.add(records, hash_parts(records["request"], parts))
        for block in partitions:
            draws = bootstrap.draws(block["unit"])
            for i in np.flatnonzero(bad == 0):
                ours, theirs = block["scores"][:, 2 * i], block["scores"][:, 2 * i + 1]
                rows, cells, values = ranking_entries(block["request"], ours, theirs, block["slices"], k)
                sums[i] += draws.sums(cells, rows, values, len(sums[i]))
    found = {}
    for i, task in enumerate(tasks):
        terms = np.moveaxis(sums[i].reshape(len(slices.names), RANKING_TERMS, -1), 1, 0)
        metrics = {"rank_correlation": ratio(*terms[:2]), "top_k_overlap": ratio(*terms[2:])}
        fault = f"the scores of {bad[i]:,} rows are not finite numbers" if bad[i] else None
        found[task] = Rankings(metrics, examples, fault)
    return found


def _number(predictions: np.ndarray) -> np.ndarray:
    """(n,): of probabilities of classes in order the expected class."""
    return predictions if predictions.ndim == 1 else predictions @ np.arange(predictions.shape[1])
