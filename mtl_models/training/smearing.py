import dataclasses

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
    if not weights.sum() > 0:
        return task
    medians = (1.0 + predictions) / (task.smearing or 1.0)
    return dataclasses.replace(task, smearing=float(weights @ (1.0 + labels) / (weights @ medians)))
