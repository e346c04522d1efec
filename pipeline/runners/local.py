"""Runs a pipeline's steps one after another in this process, and says what each did."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.types import artifact_utils

from pipeline import memory


@dataclass
class Step:
    """One step of a run; `memory` is the most that this process held while it ran, in bytes."""

    name: str
    seconds: float = 0.0
    memory: int | None = None
    cached: bool = False
    outputs: dict[str, list[types.Artifact]] = field(default_factory=dict)

    def uri(self, key: str) -> str:
        """Where its only output of that name is."""
        return self.outputs[key][0].uri


class StepFailed(Exception):
    """A step raised; the cause is `__cause__`."""

    def __init__(self, step: str):
        self.step = step
        super().__init__(step)


def run_steps(
    pipeline: Pipeline,
    run: str,
    on_start: Callable[[str, int, int], None],
    on_end: Callable[[Step], None],
    stop: threading.Event,
) -> dict[str, Step]:
    """Launches every node in order, as TFX's LocalDagRunner does, and keeps what it cannot tell: how long
    a step took, whether its outputs came from the cache, and where they are.

    Args:
      pipeline: the pipeline.
      run: the name that the metadata have this run by; used once.
      on_start: called with a step's name, its place from 1, and how many there are.
      on_end: called with each finished step.
      stop: looked at before each step; set, it ends the run there as Ctrl-C does.

    Raises:
      StepFailed: a step raised; those after it did not run.
    """
    ir = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run})
    deployment = runner_utils.extract_local_deployment_config(ir)
    connection = getattr(
        deployment.metadata_connection_config,
        deployment.metadata_connection_config.WhichOneof("connection_config"),
    )
    steps: dict[str, Step] = {}
    for place, node in enumerate(ir.nodes, 1):
        name = node.pipeline_node.node_info.id
        if stop.is_set():
            raise StepFailed(name) from KeyboardInterrupt()
        on_start(name, place, len(ir.nodes))
        begin = time.perf_counter()
        memory.restart_peak()
        try:
            execution = launcher.Launcher(
                pipeline_node=node.pipeline_node,
                mlmd_connection=metadata.Metadata(connection),
                pipeline_info=ir.pipeline_info,
                pipeline_runtime_spec=ir.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, name),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
            ).launch()
        except (Exception, KeyboardInterrupt) as error:
            raise StepFailed(name) from error
        step = Step(name, time.perf_counter() - begin, memory.peak())
        with metadata.Metadata(connection) as handle:
            store = handle.store
            [found] = store.get_executions_by_id([execution.execution_id])
            step.cached = found.last_known_state == metadata_store_pb2.Execution.CACHED
            for event in store.get_events_by_execution_ids([execution.execution_id]):
                if event.type == metadata_store_pb2.Event.OUTPUT:
                    [artifact] = store.get_artifacts_by_id([event.artifact_id])
                    [kind] = store.get_artifact_types_by_id([artifact.type_id])
                    step.outputs.setdefault(event.path.steps[0].key, []).append(
                        artifact_utils.deserialize_artifact(kind, artifact)
                    )
        steps[name] = step
        on_end(step)
    return steps
