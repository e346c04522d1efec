import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mtl_models.tasks import Task
from mtl_models.training import metrics

METRICS_BY_KIND = {
    "binary": ("auc", "logloss", "gauc"),
    "regression": ("mae", "rmse"),
    "multiclass": ("logloss", "accuracy", "macro_f1"),
    "ordinal": ("quadratic_kappa", "accuracy", "mae", "logloss"),
}
"""The validation metrics of each kind of task; the first is what the objective reads by default, but of a
regression with one of `_OF_MEANS`."""
_OF_MEANS = ("weighted_logistic", "ziln")  # predict means of skewed labels, which no absolute error rewards
_OF_CLASSES = {
    "logloss": metrics.class_logloss,
    "accuracy": metrics.accuracy,
    "macro_f1": metrics.macro_f1,
    "quadratic_kappa": metrics.quadratic_kappa,
    "mae": metrics.expected_class_mae,
}


def measure(task: Task, labels, predictions, weights=None, groups=None) -> dict[str, float | None]:
    """A task's validation metrics by name; None where one is undefined.

    Args:
        task: the task.
        labels: [N].
        predictions: [N], or [N, K] of classes.
        weights: [N]; rows of weight 0 are left out. None: all 1.
        groups: [N] of, say, users: adds `gauc` to those of a binary task.
    """
    names = [name for name in METRICS_BY_KIND[task.kind] if name != "gauc"]
    measured = {name: _metric(task, name)(labels, predictions, weights) for name in names}
    if task.kind == "binary" and groups is not None:
        measured["gauc"] = metrics.gauc(labels, predictions, groups, weights)
    return measured


def default_metric(kind: str, loss: str) -> str:
    """What the objective reads of a task of this kind and loss, where nothing else is said."""
    return "rmse" if loss in _OF_MEANS else METRICS_BY_KIND[kind][0]


def _metric(task: Task, name: str):
    return _OF_CLASSES[name] if task.kind in ("multiclass", "ordinal") else getattr(metrics, name)


@dataclasses.dataclass(frozen=True)
class Objective:
    """One number from the validation metrics of tasks of different kinds; more is better.

    It is `Σ_k a_k gain_k / Σ_k a_k`, where a task's gain is how far its metric has come from the best
    constant prediction (0) to a perfect one (1): `2 AUC - 1` for `auc` and `gauc`, `quadratic_kappa` itself,
    `1 - error / error of the constant` for `logloss` (constant: the labels' shares), `mae` (the median) and
    `rmse` (the mean), and for `accuracy` and `macro_f1` the same of what they lack to 1 (constant: the most
    frequent class), all on the validation rows. A task whose metric is undefined (no labels, one class) is
    left out.

    Args:
        weights: `a_k` of each task that counts; the others only share the checkpoint.
        metrics: which metric a task's gain reads, where not the default: the first of `METRICS_BY_KIND`, and
            `rmse` for the losses weighted_logistic and ziln.

    Example:

    >>> objective = Objective({"click": 3.0, "watch": 1.0})
    >>> objective.combine({"click": 0.5, "watch": 0.1})
    0.4
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
        return self.metrics.get(task.name, default_metric(task.kind, task.loss))

    def gain(self, task: Task, measured: Mapping[str, float | None], labels, weights) -> float | None:
        """A task's gain from its metrics and the validation labels and row weights [N]."""
        metric = self.metric(task)
        value = measured[metric]
        if value is None:
            return None
        if metric in ("auc", "gauc"):
            return 2 * value - 1
        if metric == "quadratic_kappa":
            return value
        perfect = 1.0 if metric in ("accuracy", "macro_f1") else 0.0
        constant = _metric(task, metric)(labels, _best_constant(task, metric, labels, weights), weights)
        return 1 - (perfect - value) / (perfect - constant) if constant != perfect else None

    def combine(self, gains: Mapping[str, float | None]) -> float:
        """Raises ValueError if no task that counts has a gain."""
        known = {name: w for name, w in self.weights.items() if w > 0 and gains[name] is not None}
        if not known:
            raise ValueError(
                "objective: no task that counts has a defined metric on the validation rows: "
                f"{', '.join(self.weights)}"
            )
        return sum(w * gains[name] for name, w in known.items()) / sum(known.values())


def _best_constant(task: Task, metric: str, labels, weights) -> np.ndarray:
    """The best prediction that is the same for every row, [N] or [N, K]."""
    labels = np.asarray(labels, np.float64).reshape(-1)
    rows = len(labels)
    weights = np.ones(rows) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    known = weights > 0  # a label that is not known may be NaN, and 0 × NaN is NaN
    labels, weights = labels[known], weights[known]
    if task.kind in ("multiclass", "ordinal"):
        shares = np.bincount(labels.astype(np.int64), weights, task.classes) / weights.sum()
        if metric == "mae":
            shares = np.eye(task.classes)[int(metrics.weighted_median(labels, weights))]
        return np.broadcast_to(shares, (rows, task.classes))
    constant = (
        metrics.weighted_median(labels, weights) if metric == "mae" else np.average(labels, weights=weights)
    )
    return np.full(rows, constant)
