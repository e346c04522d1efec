"""Vertex AI Pipelines: what a run does next as a compiled pipeline, and a small one that a schedule starts.

What a run is of (the span, its window, the version that serves, digests of inputs) is looked up before the
pipeline is compiled, so a compiled one is of one run. What the schedule starts every day looks up, compiles
and submits the day's; see `vertex_run`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.private import private_columns
from pipeline.recipe import Recipe
from pipeline.recipe.remote import remote_patterns
from pipeline.recipe.schema_file import schema_path
from pipeline.runners import buckets
from pipeline.schedule.job import NO_FAILURE
from pipeline.schedule.times import Times


class NotOnVertex(ValueError):
    """Something of the recipe or the command does not work on Vertex AI; says what, and what would."""


@dataclass(frozen=True)
class VertexJob:
    """A recipe that Vertex AI runs.

    Attributes:
      recipe: what runs.
      file: the recipe's file; looked up anew by each run, from a copy in the bucket.
      input_uri, output_uri: `gs://` places, as `--input` and `--output` of `mtl run`.
      settings: `KEY=VALUE` that override the recipe's.
      image: what the Dockerfile was built and pushed as, where Vertex AI can pull it.
      project, region: of Google Cloud.
    """

    recipe: Recipe
    file: Path
    input_uri: str
    output_uri: str
    settings: tuple[str, ...]
    image: str
    project: str
    region: str

    @property
    def name(self) -> str:
        return f"mtl-{self.recipe.name.replace('_', '-')}"

    @property
    def input_dir(self) -> Path:
        return buckets.folder(self.input_uri, "--input")

    @property
    def output(self) -> Path:
        return buckets.folder(self.output_uri, "--output")

    def check(self) -> None:
        """Raises NotOnVertex or NoBucket where it cannot be run."""
        columns = private_columns(self.recipe)
        if columns:
            raise NotOnVertex(
                f"{columns[0]} is private: a compiled pipeline can be read by all who see the project, and a "
                "step gets no secret but through it. Run this recipe on Kubernetes, or drop the column"
            )
        if self.recipe.pipeline_root:
            raise NotOnVertex(
                "pipeline_root: on Vertex AI what steps make is in --output; leave it out "
                "(--set pipeline_root=null)"
            )
        if self.recipe.serving.publish:
            raise NotOnVertex(
                "serving.publish: nothing on Vertex AI would copy the model; servers can read it in --output. "
                "Leave it out (--set serving.publish=null), and call `mtl models publish` where they cannot"
            )
        for pattern, place in remote_patterns(self.recipe).items():
            raise NotOnVertex(
                f"{place}: {pattern} is fetched by `mtl run` alone; have the files below --input"
            )
        beside = [setting for setting in self.settings if setting.startswith("@")]
        if beside:
            raise NotOnVertex(
                f"--set {beside[0]}: the file is not in the container; write its settings into the recipe"
            )
        _ = self.input_dir, self.output


def files(job: VertexJob, times: Times, now: dict[str, Any] | None) -> dict[str, str]:
    """Name → content: the pipeline that a run would start with now, the one that the schedule starts, and the
    schedule. The recipe and its schema are copied to the bucket, where the scheduled one reads them.

    Args:
      job: what to run; checked.
      times: when.
      now: as `vertex_run.now` gives it.
    """
    made = {f"{job.name}-next.json": text(now)} if now else {}
    folder = job.output / job.recipe.name / "schedule"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(job.file, folder / "recipe.yaml")
    if schema_path(job.file).is_file():
        shutil.copy(schema_path(job.file), folder / schema_path(job.file).name)
    return made | {
        f"{job.name}-daily.json": text(_daily(job, folder / "recipe.yaml")),
        f"schedule-{job.name}.py": _schedule(job, times),
    }


def text(found: dict[str, Any]) -> str:
    """A PipelineJob as a file's content."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _daily(job: VertexJob, recipe: Path) -> dict[str, Any]:
    """One step, which looks up, compiles and submits what a day needs, and waits for it. A refused model is no
    failure of it: the one before goes on serving."""
    from tfx.dsl.component.experimental.container_component import create_container_component
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.runners.vertex import compiled

    command = ["sh", "-c", NO_FAILURE, "mtl", "schedule", "vertex", str(recipe), "--submit"]
    command += ["--input", job.input_uri, "--output", job.output_uri, "--image", job.image]
    command += ["--project", job.project, "--region", job.region]
    command += [part for setting in job.settings for part in ("--set", setting)]
    step = create_container_component(name="Submit", image=job.image, command=command)()
    root = str(job.output / job.recipe.name / "daily")
    daily = Pipeline(pipeline_name=f"{job.name}-daily", pipeline_root=root, components=[step])
    return compiled(daily, job.image)


def _schedule(job: VertexJob, times: Times) -> str:
    return f'''"""Written by `mtl schedule vertex`: makes {job.name}'s schedule on Vertex AI, or replaces it.

  python schedule-{job.name}.py    with google-cloud-aiplatform, and credentials in the environment
"""

from pathlib import Path

from google.cloud import aiplatform

aiplatform.init(project={job.project!r}, location={job.region!r})
for old in aiplatform.PipelineJobSchedule.list(filter='display_name="{job.name}"'):
    old.delete()
job = aiplatform.PipelineJob(
    display_name="{job.name}-daily",
    template_path=str(Path(__file__).with_name("{job.name}-daily.json")),
    enable_caching=False,
)
schedule = aiplatform.PipelineJobSchedule(pipeline_job=job, display_name="{job.name}")
schedule.create(cron={f"TZ=Etc/UTC {times.text}"!r}, max_concurrent_run_count=1)
print(schedule.resource_name)
'''
