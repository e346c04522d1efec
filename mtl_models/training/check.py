"""Arrays that would train nonsense, or fail deep within a step, told in words before the first step."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mtl_models.inputs.layout import Layout
from mtl_models.tasks import Task
from mtl_models.training.batch import unpack


def check_arrays(data, layout: Layout, tasks: Sequence[Task]) -> None:
    """Refuses arrays that a model of these tasks cannot learn from.

    Args:
        data: `(x, y)` or `(x, y, sample_weight)` of whole arrays, as `unpack` takes a batch.
        layout: of the inputs.
        tasks: the model's.

    Raises:
        TypeError, KeyError: as `unpack` and `check_labels`.
        ValueError: for a shape, a number that is not finite, or labels that `check_labels` refuses.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    first = [part if part is None else keras.tree.map_structure(_first_row, part) for part in (x, y)]
    unpack((*first, sample_weight), layout, tasks)
    for name in ["numbers"] if "numbers" in x else layout.numbers:
        values = np.asarray(x[name], "float32")
        # a sum first: it makes no second array of millions of rows
        if not np.isfinite(values.sum(dtype="float64")):
            place = np.argwhere(~np.isfinite(values))[0]
            column = layout.numbers[place[1]] if name == "numbers" else name
            raise ValueError(
                f"the number '{column}' is not finite in row {place[0]}, and one such row makes every loss "
                "NaN: fill what is missing, for example with the mean"
            )
    check_labels(tasks, y, sample_weight)


def check_labels(tasks: Sequence[Task], labels: Mapping, sample_weight: Mapping | None) -> None:
    """Refuses labels that do not fit their tasks' kinds, in rows that have weight.

    Args:
        tasks: the model's.
        labels: task → [N] or [N, 1].
        sample_weight: the same; None, or a task that is left out: 1 each.

    Raises:
        TypeError: for labels that are no numbers.
        ValueError: for a weight below 0, or a label that is not finite, of a binary task not from 0 to 1, or
            no class of a task that has classes.
    """
    for task in tasks:
        label = np.asarray(labels[task.name]).reshape(-1)
        if label.dtype.kind not in "biuf":
            raise TypeError(f"task '{task.name}': labels must be numbers, and are of type {label.dtype}")
        weight = (sample_weight or {}).get(task.name)
        known = np.ones(len(label), bool)
        if weight is not None:
            weight = np.asarray(weight, "float32").reshape(-1)
            wrong = ~(np.isfinite(weight) & (weight >= 0))
            _refuse(task, wrong, weight, "weights must be finite, at least 0")
            known = weight > 0
        _refuse(
            task,
            known & ~np.isfinite(label),
            label,
            "labels must be finite where a row has weight; one whose label is not known has weight 0",
        )
        if task.kind == "binary":
            _refuse(task, known & ~((label >= 0) & (label <= 1)), label, "labels must be 0 or 1")
        elif task.classes is not None:
            is_class = (label >= 0) & (label < task.classes) & (label == np.floor(label))
            words = f"labels must be its classes' numbers, from 0 to {task.classes - 1}"
            _refuse(task, known & ~is_class, label, words)


def _first_row(values):
    if not hasattr(values, "shape"):
        raise TypeError(f"columns, labels and weights must be arrays; there is a {type(values).__name__}")
    return values[:1]


def _refuse(task: Task, wrong: np.ndarray, values: np.ndarray, rule: str) -> None:
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"task '{task.name}': {rule}. {wrong.sum():,} of {len(wrong):,} rows differ, the first of them "
            f"row {first}, which has {values[first]:g}"
        )
