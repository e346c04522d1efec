from collections.abc import Mapping, Sequence

import keras

from mtl_models.inputs.layout import Layout
from mtl_models.tasks import Task


def unpack(data, layout: Layout, tasks: Sequence[Task]) -> tuple[dict, list, list]:
    """What a step takes of what Keras gives it: `(packed inputs, labels, weights)`, the last two lists in the
    tasks' order, a weight None where none was given.

    Args:
        data: `(x, y)` or `(x, y, sample_weight)`, x as `Layout.pack` takes it, the others dicts from task to
            [B].
        layout: of the inputs.
        tasks: the model's.

    Raises:
        TypeError: if labels or sample weights are no dict.
        KeyError: if labels miss a task, or sample weights name none.
        ValueError: if labels or sample weights have more than one value a row.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    names = [task.name for task in tasks]
    for what, given in (("labels", y), ("sample weights", sample_weight)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(
                f"{what} must be a dict from task to [B] ({', '.join(names)}), not {type(given).__name__}"
            )
    unknown = [name for name in sample_weight or {} if name not in names]
    if unknown:
        raise KeyError(f"sample weights name '{unknown[0]}', but the tasks are {', '.join(names)}")
    missing = [name for name in names if name not in (y or {})]
    if missing:
        raise KeyError(
            f"labels must be a dict with every task; missing: {', '.join(missing)} "
            "(a task without labels has any label, and weight 0)"
        )
    labels = [y[name] for name in names]
    weights = [(sample_weight or {}).get(name) for name in names]
    for what, columns in (("labels", labels), ("sample weights", weights)):
        for name, values in zip(names, columns):
            if values is not None:
                _refuse_shape(f"{what} of task '{name}'", values)
    return layout.pack(x), labels, weights


def _refuse_shape(what: str, values) -> None:
    shape = getattr(values, "shape", ())
    if getattr(shape, "rank", 0) is None:  # traced for [B] and [B, 1]
        return
    if len(shape) > 2 or len(shape) == 2 and shape[1] not in (None, 1):
        raise ValueError(f"{what} must be one number a row; their shape is {tuple(shape)}")
