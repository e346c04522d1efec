"""What `training.distribution` trains on: one device, all of this process, or those of several workers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.recipe import Recipe, RecipeError
from pipeline.recipe.errors import Problem

_EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'


class BadCluster(ValueError):
    """TF_CONFIG does not say which workers there are, or which of them this is."""


@dataclass(frozen=True)
class Worker:
    """This process among those that train together.

    Args:
      number: from 0; 0 is the chief, which measures and saves.
      count: how many there are.
    """

    number: int
    count: int

    @property
    def is_chief(self) -> bool:
        return self.number == 0


def one_process(recipe: Recipe, recipe_file: Path) -> None:
    """Raises RecipeError where the recipe is to be trained by several processes, and this is one alone."""
    if recipe.training.distribution == "multi_worker":
        problem = Problem("training.distribution", _ONE_PROCESS, value="multi_worker")
        raise RecipeError(str(recipe_file), [problem])


_ONE_PROCESS = (
    "is for `mtl train` alone, started once for each worker; a run and a comparison train in one process. "
    "Leave it out of the recipe and give it to `mtl train -s training.distribution=multi_worker`"
)


def this_worker(environment: Mapping[str, str]) -> Worker:
    """What TF_CONFIG, the variable that TensorFlow reads, says of this process.

    Raises:
      BadCluster: see there.
    """
    text = environment.get("TF_CONFIG")
    if not text:
        raise BadCluster(
            "training.distribution is multi_worker, and TF_CONFIG is not set: start the same command once "
            f"for each worker, with all addresses and its own place in them, such as TF_CONFIG='{_EXAMPLE}'"
        )
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        jobs = {name: list(addresses) for name, addresses in cluster.items()}
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCluster(f"TF_CONFIG cannot be read ({error!r}); it is to be such as {_EXAMPLE}") from None
    others = sorted(jobs.keys() - {"chief", "worker"})
    if others:
        raise BadCluster(f"TF_CONFIG: jobs are `worker` and at most one `chief`, not {', '.join(others)}")
    if len(jobs.get("chief", [])) > 1:
        raise BadCluster("TF_CONFIG names more than one chief")
    everyone = [(name, i) for name in ("chief", "worker") for i in range(len(jobs.get(name, [])))]
    if not everyone:
        raise BadCluster(f"TF_CONFIG names no worker; it is to be such as {_EXAMPLE}")
    if (kind, index) not in everyone:
        named = ", ".join(f"{name} {i}" for name, i in everyone)
        raise BadCluster(f"TF_CONFIG: this is {kind} {index}, but the cluster has {named}")
    return Worker(everyone.index((kind, index)), len(everyone))


def of_workers() -> Any:
    """The strategy of several workers, once all of them are there; before TensorFlow's first operation."""
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def of_this_process(distribution: str) -> Any:
    """The strategy of this process' devices; None where one trains alone.

    Raises:
      ValueError: for multi_worker, whose strategy is made before all else.
    """
    if distribution == "multi_worker":
        raise ValueError(f"training.distribution: multi_worker {_ONE_PROCESS}")
    if distribution == "none":
        return None
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else None
