"""Every metric of every task, slice and model with its bootstrap replicates, in memory that rows do not fill.

Scores are read twice: for the slices' values, and to cut each task's rows by user into files (`records`).
Then, a part of the users at a time, rows are summed (`row_sums`), ordered within groups (`groups`), and cut
again by score and by role for what needs all rows of a range (`ranks`, `spearman`) or of a role's value.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.group_parts import GroupParts, LargeGroup
from pipeline.evaluation.groups import (
    GAUC_TERMS,
    REQUEST_TERMS,
    gauc_entries,
    request_entries,
    sorted_groups,
)
from pipeline.evaluation.partitions import ROWS_A_PART, SortedParts, parts_for, range_bounds
from pipeline.evaluation.ranks import RankSums
from pipeline.evaluation.records import ScoreFiles, TaskRecords, read_records, slice_columns
from pipeline.evaluation.replicates import Draws
from pipeline.evaluation.row_sums import RowTerms, ratio
from pipeline.evaluation.shared_groups import add_shared_groups, of_several_units
from pipeline.evaluation.slicing import Slices
from pipeline.evaluation.spearman import spearman
from pipeline.evaluation.terms import terms_of
from pipeline.recipe.tasks import CLASS_KINDS

# A probability may be beyond 0 and 1 by this much.
_ROUNDING = 1e-6
# Roles whose values are groups of rows that a model puts in order.
GROUP_ROLES = ("user", "item", "request", "position", "scenario")


@dataclass(frozen=True)
class Bootstrap:
    """How many replicates, from which seed."""

    replicates: int
    seed: int = 0

    def draws(self, units: np.ndarray) -> Draws:
        """Of rows whose units have (n,) hashes."""
        return Draws(units, self.replicates, self.seed)


@dataclass(frozen=True)
class Measured:
    """A task's metrics.

    Attributes:
      metrics: score ("prediction", "baseline", "reference/<name>") -> metric -> (slices, 1 + replicates):
        the value, then replicates of it; NaN where undefined. References are of the first slice alone and
        have no replicates.
      examples: (slices,) rows of known label.
      terms: score -> what the additive metrics were made of.
      sums: score -> (slices, terms, 1 + replicates) those sums.
      faults: score or "label" -> why nothing could be computed of it.
      no_probabilities: score -> why it has metrics of order alone, where it should be probabilities.
    """

    metrics: dict[str, dict[str, np.ndarray]]
    examples: np.ndarray
    terms: dict[str, RowTerms]
    sums: dict[str, np.ndarray]
    faults: dict[str, str]
    no_probabilities: dict[str, str]


class _Score:
    """One score of a task's rows on its way to metrics."""

    def __init__(
        self,
        index: int,
        slices: int,
        memberships: int,
        bootstrap: Bootstrap,
        terms: RowTerms,
        roles: Sequence[str],
    ):
        self.index, self.slices, self.memberships = index, slices, memberships
        self.bootstrap, self.terms = bootstrap, terms

        def cells(terms: int) -> np.ndarray:
            return np.zeros((slices * terms, 1 + bootstrap.replicates))

        self.rows, self.requests = cells(terms.size), cells(REQUEST_TERMS)
        self.gauc = {role: cells(GAUC_TERMS) for role in roles}

    def add(self, block: np.ndarray, draws: Draws) -> None:
        """Sums over rows."""
        rows, terms, values = self.terms.entries(
            block["label"], block["scores"][:, self.index], block["weight"]
        )
        for ids in block["slices"][:, : self.memberships].T:
            of = ids[rows]
            kept = np.flatnonzero(of >= 0)
            cells = of[kept].astype(np.int64) * self.terms.size + terms[kept]
            self.rows += draws.sums(cells, rows[kept], values[kept], len(self.rows))

    def add_groups(self, block: np.ndarray, role: str, draws: Draws, k: int) -> None:
        """The order within the values of a role, all of whose rows are in the block."""
        positive, weights = block["label"] > 0.5, block["weight"]
        gauc = self.gauc[role]
        score, slices = block["scores"][:, self.index], block["slices"][:, : self.memberships]
        for groups in sorted_groups(block[f"role/{role}"], score, slices):
            shared = of_several_units(groups, draws)
            rows, cells, values = gauc_entries(groups.only(~shared), positive, weights)
            gauc += draws.sums(cells, rows, values, len(gauc))
            by_term = gauc.reshape(self.slices, GAUC_TERMS, -1)
            add_shared_groups(by_term, groups.only(shared), positive, weights, draws)
            if role == "request":
                rows, cells, values = request_entries(groups, positive, weights, k)
                self.requests += draws.sums(cells, rows, values, len(self.requests))

    def add_large_group(self, ranks: RankSums, role: str) -> None:
        """A group that was walked alone."""
        auc, weight = ranks.auc, ranks.weight
        used = ~np.isnan(auc)
        terms = (np.where(used, weight * auc, 0.0), np.where(used, weight, 0.0), used * 1.0)
        self.gauc[role] += np.stack(terms, axis=1).reshape(self.gauc[role].shape)

    def sums(self) -> np.ndarray:
        return self.rows.reshape(self.slices, self.terms.size, -1)

    def metrics(self) -> dict[str, np.ndarray]:
        """Those of sums over rows and of groups."""
        by_term = np.moveaxis(self.sums(), 1, 2)
        found = {name: formula(by_term) for name, formula in self.terms.metrics.items()}
        for role, sums in self.gauc.items():
            worth, weight, groups = np.moveaxis(sums.reshape(self.slices, GAUC_TERMS, -1), 1, 0)
            name = "gauc" if role == "user" else f"gauc_{role}"
            found[name] = ratio(worth, weight)
            if role == "user":
                found["gauc_users"] = groups
                found["gauc_coverage"] = ratio(weight, found["weighted_examples"])
        if "request" in self.gauc:
            *worth, weight = np.moveaxis(self.requests.reshape(self.slices, REQUEST_TERMS, -1), 1, 0)
            for name, sums in zip(("ndcg_at_k", "mrr", "recall_at_k"), worth, strict=True):
                found[name] = ratio(sums, weight)
        return found


class _Task:
    """One task's rows, walked."""

    def __init__(self, records: TaskRecords, kind: str, roles: Sequence[str], slices: int, folder: Path):
        self.records, self.kind, self.roles = records, kind, roles
        self.slices, self.folder = slices, folder
        self.rows = int(records.examples[0])

    def measure(self, bootstrap: Bootstrap, k: int, quantile: float) -> Measured:
        faults, sample = self._faults(), self.records.sample
        metrics, sums, terms = {}, {}, {}
        if "label" in faults or "prediction" in faults:
            return Measured(metrics, self.records.examples, terms, sums, faults, {})
        roles = [role for role in self.roles if role in GROUP_ROLES] if self.kind == "binary" else []
        scores = {}
        for index, name in enumerate(self.records.scores):
            if name in faults:
                continue
            terms[name] = terms_of(
                self.kind, sample["label"], sample["scores"][:, index], sample["weight"], quantile
            )
            # Of another system's score one number is enough.
            whole = not name.startswith("reference/")
            scores[name] = _Score(
                index,
                self.slices if whole else 1,
                sample["slices"].shape[1] if whole else 1,
                bootstrap if whole else Bootstrap(0),
                terms[name],
                roles if whole else [role for role in roles if role == "user"],
            )
        self._walk(scores, roles, k)
        for name, score in scores.items():
            metrics[name] = score.metrics() | self._ordered(score)
            sums[name] = score.sums()
        return Measured(metrics, self.records.examples, terms, sums, faults, self._no_probabilities())

    def _faults(self) -> dict[str, str]:
        theirs = "predictions of the serving model"
        what = {"label": "labels", "prediction": "predictions", "baseline": theirs}
        return self._misfits() | {
            name: f"{bad:,} of {self.rows:,} {what.get(name, 'scores')} are not finite numbers"
            for name, bad in self.records.not_finite.items()
            if bad
        }

    def _misfits(self) -> dict[str, str]:
        """Where labels or predictions are not those of a task of this kind; of rows from elsewhere, as
        ingestion lets no such label through."""
        shape, of_classes = self.records.sample["scores"].shape, self.kind in CLASS_KINDS
        if of_classes != (len(shape) == 3):
            given = f"{shape[2]} numbers" if len(shape) == 3 else "one number"
            wanted = "one a class" if of_classes else "one number"
            return {"prediction": f"predictions are {given} a row, and of a {self.kind} task {wanted}"}
        least, greatest = self.records.labels
        if of_classes and self.rows and not (self.records.whole and least >= 0 and greatest < shape[2]):
            found = f"labels are from {least:g} to {greatest:g}"
            return {"label": f"{found}, and the model's classes are 0 to {shape[2] - 1}"}
        return {}

    def _no_probabilities(self) -> dict[str, str]:
        found = {} if self.kind == "regression" else self.records.ranges
        return {
            name: f"predictions are from {least:g} to {greatest:g}, and probabilities from 0 to 1"
            for name, (least, greatest) in found.items()
            if least < -_ROUNDING or greatest > 1 + _ROUNDING
        }

    def _walk(self, scores: dict[str, _Score], roles: Sequence[str], k: int) -> None:
        """Sums over rows and groups."""
        by_role = {
            role: GroupParts(self.folder / f"by_{role}", self.records.sample.dtype, f"role/{role}", self.rows)
            for role in roles
            if role != "user"
        }
        for block in self.records.partitions:
            for score, draws in _drawn(scores.values(), block["unit"]):
                score.add(block, draws)
                if "user" in score.gauc:
                    score.add_groups(block, "user", draws, k)
            for role, parts in by_role.items():
                parts.add(block[block[f"role/{role}"] > 0])
        for role, parts in by_role.items():
            grouped = [score for score in scores.values() if role in score.gauc]
            for group in parts:
                if isinstance(group, LargeGroup) and role != "request":
                    for score in grouped:
                        score.add_large_group(self._walk_down_group(score, group), role)
                else:  # NDCG and the like want a request whole
                    block = np.concatenate(list(group.blocks())) if isinstance(group, LargeGroup) else group
                    for score, draws in _drawn(grouped, block["unit"]):
                        score.add_groups(block, role, draws, k)

    def _ordered(self, score: _Score) -> dict[str, np.ndarray]:
        """What needs all rows in order."""
        sample, parts = self.records.sample, parts_for(self.rows)
        if self.kind not in ("binary", "regression"):
            return {}
        bounds = range_bounds(sample["scores"][:, score.index], parts)
        if self.kind == "regression":
            labels = range_bounds(sample["label"], parts)
            blocks = _columns(self.records.partitions, score, "label", "f8")
            settings = (score.slices, score.bootstrap.replicates, score.bootstrap.seed)
            with self._sorting() as folder:
                return {"spearman": spearman(blocks, (bounds, labels), folder, *settings)}
        ranks = self._walk_down(score, self.records.partitions, bounds)
        return {"auc": ranks.auc, "pr_auc": ranks.average_precision}

    def _walk_down_group(self, score: _Score, group: LargeGroup) -> RankSums:
        step = -(-group.rows // ROWS_A_PART)
        sample = np.concatenate([block["scores"][::step, score.index] for block in group.blocks()])
        return self._walk_down(score, group.blocks(), range_bounds(sample, parts_for(group.rows)))

    def _walk_down(self, score: _Score, blocks: Iterable[np.ndarray], bounds: np.ndarray) -> RankSums:
        """Sorts rows on disk and goes down them."""
        ranks, parts = RankSums(score.slices, score.bootstrap.replicates), None
        with self._sorting() as folder:
            for block in _columns(blocks, score, "positive", "?"):
                parts = parts or SortedParts(folder, block.dtype, "score", bounds)
                parts.add(block)
            for part in reversed(list(parts or ())):
                ranks.add(part, score.bootstrap.replicates, score.bootstrap.seed)
        return ranks

    @contextlib.contextmanager
    def _sorting(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="sorting-") as name:
            yield Path(name)


def _columns(blocks: Iterable[np.ndarray], score: _Score, field: str, kind: str) -> Iterator[np.ndarray]:
    """What sorting needs of records: `field` is "label", or "positive" for whether it is."""
    dtype = np.dtype(
        [("unit", "u8"), ("score", "f8"), ("weight", "f8"), (field, kind)]
        + [("slices", "i4", (score.memberships,))]
    )
    for block in blocks:
        columns = np.empty(len(block), dtype)
        columns["unit"], columns["weight"] = block["unit"], block["weight"]
        columns["score"] = block["scores"][:, score.index]
        columns["slices"] = block["slices"][:, : score.memberships]
        columns[field] = block["label"] > 0.5 if field == "positive" else block["label"]
        yield columns


def _drawn(scores: Iterable[_Score], units: np.ndarray) -> Iterator[tuple[_Score, Draws]]:
    """Each score with the draws of a block's units."""
    draws: dict[Bootstrap, Draws] = {}
    for score in scores:
        if score.bootstrap not in draws:
            draws[score.bootstrap] = score.bootstrap.draws(units)
        yield score, draws[score.bootstrap]


def measure(
    files: ScoreFiles,
    kinds: dict[str, str],
    roles: Sequence[str],
    slices: Sequence[str],
    *,
    max_slice_values: int,
    bootstrap: Bootstrap,
    k: int,
    quantile: float,
    use_weight: bool = False,
    named_slices: Sequence[str] = (),
) -> tuple[Slices, dict[str, Measured]]:
    """Measures every task.

    Args:
      files: of scores.
      kinds: task -> "binary", "regression", "multiclass" or "ordinal".
      roles: those that have a `role/<role>` column.
      slices: features and crosses, each feature with a `slice/<feature>` column.
      max_slice_values: of a kind of slice, its most frequent values that are told apart.
      k: of NDCG and recall.
      quantile: of the quantile loss.
      use_weight: weigh rows by `<task>/weight`; otherwise each known label counts 1.
      named_slices: with values, told apart however rare they are.

    Raises:
      KeyError: for a column that is missing.
    """
    wanted = Slices.most_frequent(slices, (), 0).features
    files.require([f"slice/{feature}" for feature in wanted])
    columns = [f"slice/{feature}" for feature in wanted]
    batches = (slice_columns(batch, wanted) for batch in (files.batches(columns) if columns else ()))
    found = Slices.most_frequent(slices, batches, max_slice_values, named_slices)
    with tempfile.TemporaryDirectory(prefix="evaluation-") as name:
        folder = Path(name)
        records = read_records(files, list(kinds), roles, found, folder, use_weight)

        def one(task: str) -> Measured:
            walked = _Task(records[task], kinds[task], roles, len(found.names), folder / task)
            return walked.measure(bootstrap, k, quantile)

        # NumPy and SciPy let go of Python's lock where the time goes.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return found, dict(zip(kinds, threads.map(one, kinds), strict=True))
