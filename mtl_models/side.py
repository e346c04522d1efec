"""Inputs of a batch that only some losses and predictions need, beside the model's own."""

from collections.abc import Mapping

from mtl_models.tasks import Task


def needed(side: Mapping | None, name: str, task: Task):
    """An input, one value a row. Raises KeyError, saying who needs it, if it is not there."""
    if not side or name not in side:
        raise KeyError(f"task '{task.name}': loss {task.loss} needs the input '{name}', one value a row")
    return side[name]
