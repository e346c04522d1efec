"""One step of a pipeline on Vertex AI: what a container starts as.

TFX's own entry point runs the executor. Before it, places in buckets become the folders where these are
mounted, as our components read and write files, and inputs of several artifacts that the compiler had to take
apart are put together; after it, what the executor says of its outputs names places in buckets again, and what
the step took is a property of them. Of a step that breaks a file beside its outputs says why.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.types import Artifact

from pipeline import memory
from pipeline.components import artifacts
from pipeline.runners.buckets import locally, remotely
from pipeline.runners.kept_steps import FAILED, MEMORY, SECONDS

PART = "--"  # between an input's name and the number of one of its artifacts


def run(arguments: list[str]) -> None:
    """Runs an executor.

    Args:
      arguments: as the compiled pipeline has them, without the command.
    """
    # a custom type is known to a step by its name alone
    for kind in vars(artifacts).values():
        if isinstance(kind, type) and issubclass(kind, Artifact):
            compiler_utils.TITLE_TO_CLASS_PATH[kind.TYPE_NAME] = f"{kind.__module__}.{kind.__name__}"
    parsed, beam = kubeflow_v2_run_executor._parse_flags(arguments)
    given = _moved(json.loads(parsed.json_serialized_invocation_args), locally)
    given["inputs"]["artifacts"] = _together(given["inputs"].get("artifacts", {}))
    output = Path(given["outputs"]["outputFile"])
    parsed.json_serialized_invocation_args = json.dumps(given)
    begin = time.perf_counter()
    memory.restart_peak()
    try:
        kubeflow_v2_run_executor.main((parsed, beam))
    except (Exception, KeyboardInterrupt) as error:
        _tell(error, output.with_name(FAILED))
        raise
    costs = {SECONDS: time.perf_counter() - begin, MEMORY: memory.peak() or 0}
    said = _moved(json.loads(output.read_text()), remotely)
    for made in said.get("artifacts", {}).values():
        for artifact in made["artifacts"]:
            artifact["metadata"] = artifact.get("metadata", {}) | costs
    output.write_text(json.dumps(said))


def _tell(error: BaseException, file: Path) -> None:
    from pipeline.outcome import data_error, step_message

    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"message": step_message(error, file.parent), "data": data_error(error) is not None}
    file.write_text(json.dumps(told))


def _moved(value: Any, move: Callable[[str], str]) -> Any:
    """The same with every `uri`, and the file that tells of outputs, moved."""
    if isinstance(value, list):
        return [_moved(v, move) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        k: move(v) if k in ("uri", "outputFile") and isinstance(v, str) else _moved(v, move)
        for k, v in value.items()
    }


def _together(inputs: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for name in sorted(inputs):
        of = whole.setdefault(name.partition(PART)[0], {"artifacts": []})
        of["artifacts"] += inputs[name]["artifacts"]
    return whole


if __name__ == "__main__":
    run(sys.argv[1:])
