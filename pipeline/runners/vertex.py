"""A pipeline as Vertex AI and Kubeflow Pipelines 2 take it, compiled by TFX's KubeflowV2DagRunner."""

from __future__ import annotations

from typing import Any

from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel import UnionChannel

from pipeline.runners.buckets import remotely
from pipeline.runners.vertex_step import PART


def compiled(pipeline: Pipeline, image: str) -> dict[str, Any]:
    """The pipeline as a PipelineJob in JSON; can be done once with a pipeline.

    Its root and what it imports are in folders below `buckets.MOUNT`, and places in buckets in the result.

    Args:
      pipeline: made for a plan whose folder is in a mounted bucket.
      image: what the Dockerfile was built and pushed as.
    """
    pipeline.pipeline_info.pipeline_name = name_of(pipeline.pipeline_info.pipeline_name)
    pipeline.pipeline_info.pipeline_root = remotely(pipeline.pipeline_info.pipeline_root)
    for node in pipeline.components:
        _take_apart(node.inputs)
    command = ["python", "-m", "pipeline.runners.vertex_step"]
    config = kubeflow.KubeflowV2DagRunnerConfig(
        default_image=image, default_commands=command, use_pipeline_spec_2_1=True
    )
    job = kubeflow.KubeflowV2DagRunner(config).run(pipeline, write_out=False)
    ids = [node.id for node in pipeline.components if "." in node.id]
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    for importer in (e["importer"] for e in executors.values() if "importer" in e):
        importer["artifactUri"]["constant"] = remotely(importer["artifactUri"]["constant"])
    return _renamed(job, {i: i.replace(".", "-") for i in [*ids, *(f"{i}_executor" for i in ids)]})


def name_of(recipe: str) -> str:
    """A recipe's name as one of Vertex AI."""
    return recipe.replace("_", "-")


def _take_apart(inputs: dict[str, Any]) -> None:
    """The compiler knows no input of several channels: each becomes an input of its own, `name--0007`."""
    for name in [n for n, channel in inputs.items() if isinstance(channel, UnionChannel)]:
        channels = inputs.pop(name).channels
        inputs.update({f"{name}{PART}{i:04d}": channel for i, channel in enumerate(channels)})


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """The same with steps' names, which are keys and values, in letters, digits and hyphens."""
    if isinstance(value, dict):
        return {names.get(k, k): _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value
