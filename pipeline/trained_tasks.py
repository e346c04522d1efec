"""From a recipe's task and the labels of training to the task of the model."""

from typing import Any

import numpy as np

from mtl_models import Task, duration_quantiles
from mtl_models.training import metrics
from pipeline.recipe import Recipe


def task_of(
    recipe: Recipe,
    name: str,
    labels: np.ndarray,
    weights: np.ndarray,
    durations: np.ndarray | None = None,
) -> Task:
    """A task whose outputs begin at what is known of its labels: base rate, mean, median, shares, quantiles.

    Args:
      recipe: describes the task.
      name: of it.
      labels, weights: of training, `[rows]`.
      durations: of training, `[rows]`, NaN where missing; for the loss duration_quantile.
    """
    task = recipe.tasks[name]
    common: dict[str, Any] = {"loss_weight": task.loss_weight, "loss": task.loss}
    if task.kind == "binary":
        return Task(name, "binary", **common, **_binary(recipe, name, labels, weights))
    if task.kind == "regression":
        return Task(name, "regression", **common, **_regression(task, labels, weights, durations))
    classes = len(task.classes)
    shares = _shares(np.bincount(labels.astype(np.int64), weights, classes))
    return Task(name, task.kind, **common, classes=classes, shares=shares)


def _binary(recipe: Recipe, name: str, labels: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    task, sampled = recipe.tasks[name], recipe.downsampling
    kept = sampled.keep if sampled and (sampled.task, sampled.correction) == (name, "logit") else None
    mean = float(np.average(labels, weights=weights)) if weights.sum() > 0 else 0.0
    return {
        "offset": min(max(mean, 1e-6), 1 - 1e-6),
        "negatives_kept": kept,
        "gamma": task.gamma if task.loss == "focal" else None,
        "list_share": task.list_share if task.loss == "listwise" else None,
    }


def _regression(
    task: Any, labels: np.ndarray, weights: np.ndarray, durations: np.ndarray | None
) -> dict[str, Any]:
    if not weights.sum() > 0:  # the loss duration_quantile needs tables, though no row will read them
        return {"duration_edges": (), "watch_quantiles": ((0.0, 1.0),) * 2} if task.duration else {}
    if task.loss == "duration_quantile":
        return duration_quantiles(durations, labels, weights, task.duration_groups)
    if task.loss == "weighted_logistic":
        return {"scale": float(np.average(labels, weights=weights)) or None}
    if task.loss == "ziln":
        shares = _shares(np.bincount((labels > 0).astype(np.int64), weights, 2))
        if not shares[1] > 0:
            return {"shares": shares}
        logs = np.log(np.where(labels > 0, labels, 1.0))
        return {"shares": shares, "scale": float(np.exp(np.average(logs, weights=weights * (labels > 0))))}
    if task.loss == "log_mse":
        labels = np.log1p(labels)
    mean = float(np.average(labels, weights=weights))
    spread = float(np.sqrt(np.average((labels - mean) ** 2, weights=weights)))
    # the constant that the loss itself would choose
    center = mean if task.loss in ("mse", "log_mse") else metrics.weighted_median(labels, weights)
    return {"offset": center, "scale": spread or 1.0}


def _shares(counts: np.ndarray) -> tuple[float, ...] | None:
    """What part of the weight each class has; None without any."""
    return tuple((counts / counts.sum()).tolist()) if counts.sum() > 0 else None
