import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mtl_models.tasks import Task
from mtl_models.training import metrics

METRICS_BY_KIND = {"binary": ("auc", "logloss", "gauc"), "regression": ("mae", "rmse")}
"""The validation metrics of each kind of task; the first is what the objective reads by default."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """One number from the validation metrics of tasks of different kinds; more is better.

    It is `Σ_k a_k gain_k / Σ_k a_k`, where a task's gain is how far its metric has come from the best
    constant prediction (0) to a perfect one (1): `2 AUC - 1` for `auc` and `gauc`, and
    `1 - error / error of the constant` for `logloss` (constant: the base rate), `mae` (the median) and
    `rmse` (the mean), all on the validation rows. A task whose metric is undefined (no labels, one class)
    is left out.

    Args:
        weights: `a_k` of each task that counts; the others only share the checkpoint.
        metrics: which metric a task's gain reads, where not the first of `METRICS_BY_KIND`.
    """

    weights: Mapping[str, float]
    metrics: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def check(self, tasks: Sequence[Task]) -> None:
        """Raises ValueError if a task or metric does not fit."""
        kinds = {task.name: task.kind for task in tasks}
        for name in [*self.weights, *self.metrics]:
            if name not in kinds:
                raise ValueError(f"objective: '{name}' is not a task; those are {', '.join(kinds)}")
        for name, metric in self.metrics.items():
            if metric not in METRICS_BY_KIND[kinds[name]]:
                raise ValueError(
                    f"objective: '{metric}' is not a metric of the {kinds[name]} task "
                    f"'{name}'; those are {', '.join(METRICS_BY_KIND[kinds[name]])}"
                )
        if min(self.weights.values(), default=0) < 0 or not sum(self.weights.values()) > 0:
            raise ValueError(
                f"objective: weights must be >= 0, one of them above; they are {dict(self.weights)}"
            )

    def metric(self, task: Task) -> str:
        return self.metrics.get(task.name, METRICS_BY_KIND[task.kind][0])

    def gain(self, task: Task, measured: Mapping[str, float | None], labels, weights) -> float | None:
        """A task's gain from its metrics and the validation labels and row weights [N]."""
        metric = self.metric(task)
        value = measured[metric]
        if value is None:
            return None
        if metric in ("auc", "gauc"):
            return 2 * value - 1
        labels = np.asarray(labels, np.float64).reshape(-1)
        constant = (
            metrics.weighted_median(labels, weights)
            if metric == "mae"
            else np.average(labels, weights=weights)
        )
        error = getattr(metrics, metric)(labels, np.full(len(labels), constant), weights)
        return 1 - value / error if error > 0 else None

    def combine(self, gains: Mapping[str, float | None]) -> float:
        """Raises ValueError if no task that counts has a gain."""
        known = {name: w for name, w in self.weights.items() if w > 0 and gains[name] is not None}
        if not known:
            raise ValueError(
                "objective: no task that counts has a defined metric on the validation rows: "
                f"{', '.join(self.weights)}"
            )
        return sum(w * gains[name] for name, w in known.items()) / sum(known.values())
