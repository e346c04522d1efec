"""Metrics of tasks of several classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mtl_models.training import metrics
from pipeline.evaluation.scores import TaskScores
from pipeline.evaluation.table import MetricRow
from pipeline.recipe.tasks import CLASS_KINDS

CLASS_METRICS = {
    "accuracy": metrics.accuracy,
    "macro_f1": metrics.macro_f1,
    "logloss": metrics.class_logloss,
}
ORDINAL_METRICS = {"quadratic_kappa": metrics.quadratic_kappa, "mae": metrics.expected_class_mae}
METRICS_OF = dict(zip(CLASS_KINDS, (CLASS_METRICS, {**ORDINAL_METRICS, **CLASS_METRICS}), strict=True))


def class_rows(name: str, kind: str, task: TaskScores, slices: dict[str, np.ndarray]) -> Iterator[MetricRow]:
    """Rows of every metric of a multiclass or ordinal task.

    The predicted class is the most probable one; `mae`, of ordinal tasks, is of the expected class, in
    classes.

    Args:
      name, kind: of the task.
      task: its scores, probabilities `(m, classes)`.
      slices: name -> positions among the task's rows.
    """
    for slice_name, at in slices.items():
        labels, weights = task.labels[at], task.weights[at]
        yield MetricRow(name, slice_name, "examples", float(len(at)), examples=len(at))
        for metric, of in METRICS_OF[kind].items():
            value = of(labels, task.predictions[at], weights)
            baseline = None if task.baseline is None else of(labels, task.baseline[at], weights)
            note = None
            if value is None:
                note = "labels and predictions are all of one class" if len(at) else "there are no examples"
            yield MetricRow(name, slice_name, metric, value, baseline, examples=len(at), note=note)
