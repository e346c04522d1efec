"""The steps of a run that no process of ours watches: each leaves its cost with what it makes, and the last of
a pipeline writes them all to the run's folder, for who comes after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx.types import Artifact

    from pipeline.runners.local import Step

FILE = "steps.json"
PIPELINES = "pipelines.txt"  # also in the run's folder: what Vertex AI calls its pipelines, a line each
FAILED = "failed.json"  # beside what a broken step would have made: `message`, and whether it was the `data`
SECONDS, MEMORY = "mtl_seconds", "mtl_memory"  # properties of what a step makes


def read_rows(run_dir: Path) -> dict[str, dict[str, Any]]:
    """What is kept of each step, by name: `seconds`, `memory`, `cached`, and `outputs`, key → [{`uri`,
    `artifact`: TFX's JSON}]."""
    try:
        return json.loads((run_dir / FILE).read_text())
    except FileNotFoundError:
        return {}


def keep_steps(run_dir: Path, steps: Iterable[Step]) -> None:
    """Adds steps to those of a run, whose folder is there."""
    from tfx.utils import json_utils

    rows = read_rows(run_dir)
    for step in steps:
        outputs = {
            key: [{"uri": one.uri, "artifact": json_utils.dumps(one)} for one in artifacts]
            for key, artifacts in step.outputs.items()
        }
        costs = {"seconds": step.seconds, "memory": step.memory, "cached": step.cached}
        rows[step.name] = costs | {"outputs": outputs}
    part = run_dir / f".{FILE}.partial"
    part.write_text(json.dumps(rows, indent=1))
    os.replace(part, run_dir / FILE)


def kept_steps(run_dir: Path) -> dict[str, Step]:
    """The steps that `keep_steps` kept, in order."""
    from tfx.utils import json_utils

    from pipeline.runners.local import Step

    found = {}
    for name, row in read_rows(run_dir).items():
        outputs = {
            key: [json_utils.loads(one["artifact"]) for one in artifacts]
            for key, artifacts in row.pop("outputs").items()
        }
        found[name] = Step(name, **row, outputs=outputs)
    return found


def step_of(name: str, outputs: Mapping[str, list[Artifact]], job: Path) -> Step:
    """A step by what it made.

    Args:
      name: of the step.
      outputs: key → artifacts, with the step's cost among their properties.
      job: the folder of the pipeline that ends now; what lies elsewhere came from the cache.
    """
    from pipeline.runners.local import Step

    [first, *_] = next(iter(outputs.values()))
    cached = job not in Path(first.uri).parents
    seconds = 0.0 if cached else first.get_float_custom_property(SECONDS)
    memory = None if cached else first.get_int_custom_property(MEMORY) or None
    return Step(name, seconds, memory, cached, dict(outputs))
