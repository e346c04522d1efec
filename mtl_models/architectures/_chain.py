"""Tasks that follow one another, such as click, cart and purchase: what architectures over them share."""

import math
from collections.abc import Sequence

from keras import ops

from mtl_models.tasks import Task


def chain_indices(owner: str, chain: Sequence[str], tasks: Sequence[Task]) -> list[int]:
    """The places in `tasks` of the tasks that `chain` names, all of them in their order if it is empty.

    Raises:
        ValueError: if a name is unknown or repeated, a task is not binary, or there are fewer than two.
    """
    names = [task.name for task in tasks]
    chosen = list(chain) or names
    given = f"{owner}: chain {chosen}" + ("" if chain else " (all tasks, as none are named)")
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(f"{given} names {unknown}, but the tasks are {names}")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{given} names a task twice")
    binary = [task.name for task in tasks if task.kind == "binary"]
    wrong = [name for name in chosen if name not in binary]
    if wrong:
        raise ValueError(f"{given} may name binary tasks alone, and {wrong} are not; binary are {binary}")
    if len(chosen) < 2:
        raise ValueError(
            f"{given} needs at least two tasks, each following the one before; tasks are {names}"
        )
    return [names.index(name) for name in chosen]


def sampling_shift(task: Task) -> float:
    """What is added to the task's logit in the data as sampled for that in all data."""
    return 0.0 if task.negatives_kept is None else math.log(task.negatives_kept)


def weight_in_all_data(task: Task, label, weight):
    """The task's row weights [B], with each negative standing for those that sampling left out."""
    if task.negatives_kept is None:
        return weight
    return ops.where(label < 0.5, weight / task.negatives_kept, weight)
