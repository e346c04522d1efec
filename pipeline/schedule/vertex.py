"""Vertex AI Pipelines: what a run does next as a compiled pipeline, and a small one that a schedule starts.

What a run is of (the span, its window, the version that serves, digests of inputs) is looked up before the
pipeline is compiled, so a compiled one is of one run. What the schedule starts every day looks up, compiles
and submits the day's.
"""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.plan import Plan, make_plan
from pipeline.private import private_columns
from pipeline.recipe import Recipe
from pipeline.recipe.remote import remote_patterns
from pipeline.recipe.schema_file import schema_path
from pipeline.runners import buckets
from pipeline.schedule.times import Times
from pipeline.span_run import why_only_ingested
from pipeline.spans.calendar import span_name
from pipeline.spans.resolve import Ingestion


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
        if self.recipe.notify:
            raise NotOnVertex(
                "notify: nothing on Vertex AI would tell the webhook; leave it out (--set notify=null) and "
                "make an alert on failed pipelines there"
            )
        if self.recipe.training.warm_start:
            raise NotOnVertex(
                "training.warm_start: what a model begins from is in the folder of the run that made it, and "
                "there is none on Vertex AI: every run would train from nothing. Leave it out (--set "
                "training.warm_start=null), or run this recipe on Kubernetes"
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


def jobs(job: VertexJob, span: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pipelines of one run, one after another, each compiled when the one before has ended: those that
    ingest what is new of its spans, then the one that trains. None where there is nothing to do.

    Args:
      job: what to run; checked.
      span: a recipe of spans runs this one.

    Yields:
      what it does, and the PipelineJob.

    Raises:
      BadSpan: `span` is no span's name.
      DataError: an input is not there.
      NotOnVertex: a pipeline ended and did not do what it was to do.
    """
    name = span_name(job.recipe, span) if job.recipe.spans is not None else ""
    ingested: set[tuple[str, int]] = set()
    while True:
        plan = _plan(job, name)
        if not (plan.span and plan.span.ingestions):
            break
        of = plan.span.ingestions[0]
        if (of.name, of.version) in ingested:
            raise NotOnVertex(f"span {of.name} was to be ingested, and is not: see the pipeline that ended")
        ingested.add((of.name, of.version))
        yield f"ingests {of.name}", _ingests(plan, of, job.image)
    if plan.is_unchanged() or (plan.span and why_only_ingested(plan)):
        return
    yield f"trains{f' for {name}' if name else ''}", _trains(plan, job.image)


# TFX takes half a minute to import, and is not needed to find that there is nothing to do
def _ingests(plan: Plan, of: Ingestion, image: str) -> dict[str, Any]:
    from pipeline.pipeline import create_ingestion
    from pipeline.runners.vertex import compiled

    return compiled(create_ingestion(plan, of, keep=True), image)


def _trains(plan: Plan, image: str) -> dict[str, Any]:
    from pipeline.pipeline import create_pipeline
    from pipeline.runners.vertex import compiled

    return compiled(create_pipeline(plan), image)


def _plan(job: VertexJob, span: str) -> Plan:
    (job.output / job.recipe.name).mkdir(parents=True, exist_ok=True)
    run = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return make_plan(job.recipe, job.file, job.input_dir, job.output, run, span)


def files(job: VertexJob, times: Times, span: str) -> dict[str, str]:
    """Name → content: the pipeline that a run would start with now, the one that the schedule starts, and
    the schedule. The recipe and its schema are copied to the bucket, where the latter reads them.

    Raises:
      as `jobs` does.
    """
    found = next(jobs(job, span), None)
    made = {f"{job.name}-next.json": _text(found[1])} if found else {}
    folder = job.output / job.recipe.name / "schedule"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(job.file, folder / "recipe.yaml")
    if schema_path(job.file).is_file():
        shutil.copy(schema_path(job.file), folder / schema_path(job.file).name)
    return made | {
        f"{job.name}-daily.json": _text(_daily(job, folder / "recipe.yaml")),
        f"schedule-{job.name}.py": _schedule(job, times),
    }


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _daily(job: VertexJob, recipe: Path) -> dict[str, Any]:
    """One step, which looks up, compiles and submits what a day needs, and waits for it."""
    from tfx.dsl.component.experimental.container_component import create_container_component
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.runners.vertex import compiled

    command = ["mtl", "schedule", "vertex", str(recipe), "--submit"]
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


def submit(job: VertexJob, span: str) -> Iterator[str]:
    """Submits a run's pipelines, each when the one before has ended, and tells what each does.

    Raises:
      as `jobs` does; RuntimeError: a pipeline failed.
    """
    from google.cloud import aiplatform

    aiplatform.init(project=job.project, location=job.region)
    with tempfile.TemporaryDirectory() as folder:
        for what, found in jobs(job, span):
            yield what
            path = Path(folder, "job.json")
            path.write_text(_text(found), encoding="utf-8")
            submitted = aiplatform.PipelineJob(display_name=job.name, template_path=str(path))
            submitted.submit()
            submitted.wait()
