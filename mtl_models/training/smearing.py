import dataclasses
from collections.abc import Mapping

import numpy as np

from mtl_models.tasks import Task


def smear(task: Task, labels, predictions, weights=None) -> Task:
    """The task with the factor that makes predictions of the loss log_mse means.

    The exponential of a predicted logarithm is too small: `E[exp(f + ε)] = exp(f) E[exp(ε)]`, and the second
    factor is above 1. Duan, "Smearing estimate: a nonparametric retransformation method" (JASA 1983)
    estimates it from residuals, as the mean of `exp(ε) = (1 + y) / exp(f)`. Here it is the ratio of the
    means, `Σ w (1 + y) / Σ w exp(f)`: the same where errors do not depend on the row, and where they do,
    predictions still add up to the labels. One factor for all rows: order within the task does not change.

    Take rows that the model was not trained on, such as those of validation: residuals of training are too
    small where the model has learnt them by heart.

    Args:
        task: of loss log_mse.
        labels: [N], at least 0.
        predictions: [N], by a model of this task (whatever its `smearing`).
        weights: [N], at least 0; None: all 1.

    Returns:
        The task with `smearing`; as it was where no row has weight.

    Raises:
        ValueError: for a task of another loss.

    Example:
        >>> task = Task("spend", "regression", "log_mse")
        >>> round(smear(task, [0.0, 20.0], [4.0, 4.0]).smearing, 6)
        2.2
    """
    if task.loss != "log_mse":
        raise ValueError(f"task '{task.name}': smearing is for loss log_mse; its loss is {task.loss}")
    labels, predictions = (np.asarray(v, np.float64).reshape(-1) for v in (labels, predictions))
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    known = weights > 0  # a label that is not known may be NaN, and 0 × NaN is NaN
    if not known.any():
        return task
    labels, predictions, weights = labels[known], predictions[known], weights[known]
    medians = (1.0 + predictions) / (task.smearing or 1.0)
    return dataclasses.replace(task, smearing=float(weights @ (1.0 + labels) / (weights @ medians)))


def make_means(
    model, inputs: Mapping, labels: Mapping, weights: Mapping | None = None, batch_size: int = 8192
) -> None:
    """Gives every task of loss log_mse of a trained model its factor (see `smear`), from these rows.

    Args:
        model: a `MultiTaskModel`; saved and exported with the factors from then on.
        inputs: arrays as the model takes them.
        labels, weights: task to [N]; weights None: all 1.
        batch_size: rows a prediction batch.

    Example:
        >>> from mtl_models import HardSharing, Layout, MultiTaskModel
        >>> tasks = [Task("spend", "regression", "log_mse")]
        >>> model = MultiTaskModel(Layout.of(numbers=["age"]), tasks, HardSharing((4,)))
        >>> x, spent = {"age": np.zeros(4, "float32")}, np.array([0, 0, 0, 40.0])
        >>> make_means(model, x, {"spend": spent})
        >>> round(float(model.predict(x, verbose=0)["spend"].mean()), 3)
        10.0
    """
    if not any(task.loss == "log_mse" for task in model.tasks):
        return
    predictions = model.predict(dict(inputs), batch_size=batch_size, verbose=0)
    model.tasks = tuple(
        smear(task, labels[task.name], predictions[task.name], (weights or {}).get(task.name))
        if task.loss == "log_mse"
        else task
        for task in model.tasks
    )
    model.make_predict_function(force=True)  # it holds the tasks as they were
