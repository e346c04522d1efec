"""The validation rows of a run as the served model scores them, ready to be fused."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipeline.evaluation.records import floats, key_hashes
from pipeline.fuse.orders import Orders, Rows
from pipeline.recipe import Recipe

LEAST = 1e-12
"""Below it a probability counts as this in a product, as in `serving.export`."""


class CannotFuse(Exception):
    """There is nothing to fuse, or nothing to fuse it on."""


@dataclass(frozen=True)
class Validation:
    """Attributes:
    recipe: names tasks and what is wanted of them.
    scores: what `pipeline.evaluation.scoring.write_scores` writes, of validation.
    """

    recipe: Recipe
    scores: pa.Table

    @property
    def fused(self) -> list[str]:
        """The tasks that the score is of."""
        return list(self.recipe.score_weights)

    @cached_property
    def rows(self) -> Rows:
        """What is fused: predictions, or of a product their logarithms.

        Raises:
          CannotFuse: no row is in a request, or a prediction is not finite.
        """
        requests = key_hashes(self._column("role/request"))
        if not requests.any():
            raise CannotFuse(
                f"none of the {len(requests):,} validation rows has a request "
                f"({self.recipe.roles.request}), and a score orders rows within requests"
            )
        columns = np.stack([self._prediction(task) for task in self.fused], axis=1)
        wrong = [task for task, of in zip(self.fused, columns.T, strict=True) if not np.isfinite(of).all()]
        if wrong:
            raise CannotFuse(f"the model gives numbers that are not finite for {', '.join(wrong)}")
        if self.recipe.serving.fusion == "product":
            columns = np.log(np.maximum(columns, LEAST))
        users = key_hashes(self._column("role/user")) if self.recipe.roles.user else np.zeros_like(requests)
        return Rows(columns, requests, np.where(users > 0, users, requests))

    @cached_property
    def scales(self) -> np.ndarray:
        """(tasks,) what each column varies by within requests: the root of its mean variance there. 1 of a
        column that does not vary."""
        kept = np.flatnonzero(self.rows.requests)
        _, of = np.unique(self.rows.requests[kept], return_inverse=True)
        found = []
        for column in self.rows.columns[kept].T:
            centred = column - (np.bincount(of, column) / np.bincount(of))[of]
            found.append(np.sqrt(np.mean(centred**2)))
        scales = np.array(found)
        return np.where(scales > 1e-12 * np.abs(self.rows.columns[kept]).max(initial=1.0), scales, 1.0)

    def orders(self) -> dict[str, Orders]:
        """Task → its requests, of every task that is maximised or bounded.

        Raises:
          CannotFuse: a task has no request with anything to find, or gains below 0.
        """
        wanted = self.recipe.fuse
        tasks = dict.fromkeys([*wanted.maximize, *(bound.task for bound in wanted.bounds)])
        return {task: self._orders(task) for task in tasks}

    def _orders(self, task: str) -> Orders:
        labels, masks = (floats(self._column(f"{task}/{part}")) for part in ("label", "mask"))
        known = masks > 0
        weights = np.ones(len(labels))
        if self.recipe.evaluation.weighted:
            weights = np.where(known, floats(self._column(f"{task}/weight")), 1.0)
        kept = known | (task in self.recipe.fuse.unknown_as_zero)
        gains = np.where(known, labels, 0.0)
        if self.recipe.tasks[task].kind == "binary":
            gains = (gains > 0.5).astype(np.float64)
        if gains.min(initial=0.0) < 0:
            raise CannotFuse(
                f"{task} has labels below 0 (down to {gains.min():g}), and ndcg_at_k takes gains from 0: "
                "leave it out of fuse.maximize and fuse.bounds"
            )
        kept = np.flatnonzero(kept & (weights > 0) & (self.rows.requests > 0))
        rows = Rows(self.rows.columns[kept], self.rows.requests[kept], self.rows.units[kept])
        metric, k = self.recipe.fuse.metric, self.recipe.evaluation.k
        orders = Orders(rows, gains[kept], weights[kept], metric, k)
        if not orders.open:
            hint = "" if task in self.recipe.fuse.unknown_as_zero else _hint(task, int((~known).sum()))
            raise CannotFuse(
                f"{task}: in none of {len(np.unique(rows.requests)):,} requests do rows of known label "
                f"differ, so no score orders them better than another{hint}"
            )
        return orders

    def _prediction(self, task: str) -> np.ndarray:
        values = floats(self._column(f"{task}/prediction"))
        return values if values.ndim == 1 else values @ np.arange(values.shape[1])  # the expected class

    def _column(self, name: str) -> pa.Array:
        return self.scores[name].combine_chunks()


def _hint(task: str, unknown: int) -> str:
    if not unknown:
        return ""
    return f"; {unknown:,} rows have no label, which `fuse: {{unknown_as_zero: [{task}]}}` takes for 0"
