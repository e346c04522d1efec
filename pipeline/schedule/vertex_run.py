"""A run on Vertex AI, or more where some were missed: what it does next is compiled, submitted and waited for,
and its folder in the bucket tells of it as one of `mtl run` does.

The report of a run that trained is written by the last step of its pipeline, which has what all others made;
that of one that only ingested, had nothing to do or broke, by the process that submits.
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import notify
from pipeline.artifact_root import FOLDER
from pipeline.catch_up import in_order, missed
from pipeline.conclusion import conclude, failed_outside, new_run, nothing_to_do, unchanged
from pipeline.ingest.errors import DataError
from pipeline.plan import Plan, make_plan
from pipeline.recipe.dump import resolved
from pipeline.report.form import read
from pipeline.runners import buckets
from pipeline.runners.kept_steps import FAILED, PIPELINES, kept_steps
from pipeline.schedule.job import BAD_DATA, REFUSED
from pipeline.schedule.secret import secret
from pipeline.schedule.vertex import NotOnVertex, VertexJob, text
from pipeline.span_run import why_only_ingested
from pipeline.spans.calendar import LAST, span_name

REPORT = Path("report", "metrics.json")
Execute = Callable[[dict[str, Any], str, Callable[[str], None]], None]


def run(job: VertexJob, span: str, execute: Execute, tell: Callable[[str], None]) -> int:
    """A run, to its end; its report is written whatever happens.

    Args:
      job: what to run; checked.
      span: a recipe of spans runs this one.
      execute: runs a compiled pipeline to its end, under an id, and tells what it is called; raises
        RuntimeError where it failed.
      tell: says something to a person.

    Returns:
      as `mtl run` does.

    Raises:
      BadSpan: `span` is no span's name.
    """
    recipe = job.recipe
    span = span_name(recipe, span) if recipe.spans is not None else ""
    runs = job.output / recipe.name / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    run_dir = runs / new_run(runs)
    (run_dir / "recipe.yaml").write_text(resolved(recipe))
    with (run_dir / "log.txt").open("a", encoding="utf-8") as log:

        def say(line: str) -> None:
            print(line, file=log, flush=True)
            tell(line)

        say(f"{recipe.name}: run {run_dir.name}{f', span {span},' if span else ''} on Vertex AI")
        try:
            plan = _plan(job, run_dir.name, span)
            nothing = nothing_to_do(plan)
            metrics, code = (unchanged(plan, nothing, {}), 0) if nothing else _run(job, plan, execute, say)
        except KeyboardInterrupt:
            say("not waited for any more: what was submitted goes on, and its last step writes the report")
            return 1
        except Exception as error:
            traceback.print_exception(error, file=log)
            metrics, _ = failed_outside(recipe, run_dir, error)
            code = BAD_DATA if isinstance(error, DataError) else 1
        say(f"{metrics['status']}: {metrics['reason']}")
        say(f"report:  {buckets.remotely(str(run_dir / 'report' / 'index.html'))}")
        said = notify.notify(recipe, metrics, run_dir, span)
        if said:
            say(f"webhook: {said}")
    return code


def _run(
    job: VertexJob, plan: Plan, execute: Execute, say: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """The content of metrics.json, and the exit code."""
    begin, done = time.perf_counter(), set()
    while found := next_pipeline(plan, job.image):
        what, pipeline = found
        if what in done:
            where = plan.run_dir / PIPELINES
            raise NotOnVertex(f"it still {what}, which a pipeline was to have done: see {where}")
        done.add(what)
        say(what)
        name = f"{job.name}-{plan.run}-{len(done)}".lower()
        try:
            execute(pipeline, name, partial(_called, plan.run_dir, say))
        except RuntimeError as error:
            step, broke = _failure(plan, name, error)
            return _concluded(plan, (step, broke), begin, ""), BAD_DATA if isinstance(broke, DataError) else 1
        if (plan.run_dir / REPORT).is_file():  # written by the pipeline's last step
            metrics = read(plan.run_dir / REPORT)
            return metrics, 0 if metrics["blessed"] else REFUSED
        span = plan.span.name if plan.span else ""
        plan = replace(_plan(job, plan.run, span), started=plan.started)
    return _concluded(plan, None, begin, why_only_ingested(plan)), 0


def _concluded(
    plan: Plan, failure: tuple[str, BaseException] | None, begin: float, only: str
) -> dict[str, Any]:
    seconds = time.perf_counter() - begin
    return conclude(plan, kept_steps(plan.run_dir), [], failure, seconds, only, plan.fingerprint())


def _called(run_dir: Path, say: Callable[[str], None], name: str) -> None:
    with (run_dir / PIPELINES).open("a", encoding="utf-8") as file:
        print(name, file=file)
    say(f"  {name}")


def _failure(plan: Plan, name: str, error: RuntimeError) -> tuple[str, BaseException]:
    """The step of a pipeline that broke, and what it said; where it was killed before it could, what Vertex AI
    says."""
    from pipeline.outcome import BrokeElsewhere

    for file in (plan.home / FOLDER).glob(f"*/{name}/*/{FAILED}"):
        told = json.loads(file.read_text())
        kind = DataError if told["data"] else BrokeElsewhere
        return file.parent.name.rpartition("_")[0], kind(told["message"])
    return "Vertex AI", BrokeElsewhere(str(error))


def next_pipeline(plan: Plan, image: str) -> tuple[str, dict[str, Any]] | None:
    """What a run does next, in words and as a PipelineJob: it ingests the first of its spans that is new or has
    changed, or it trains; None where there is nothing to train on yet.

    Args:
      plan: of the run, as it is now.
      image: what the Dockerfile was built and pushed as.
    """
    # TFX takes half a minute to import, and is not needed to find that there is nothing to do
    if plan.span and plan.span.ingestions:
        from pipeline.pipeline import create_ingestion
        from pipeline.runners.vertex import compiled

        of = plan.span.ingestions[0]
        return f"ingests {of.name}, version {of.version}", compiled(
            create_ingestion(plan, of, keep=True), image
        )
    if plan.span and why_only_ingested(plan):
        return None
    from pipeline.base_model import from_what_loads
    from pipeline.components.report import report
    from pipeline.pipeline import create_pipeline
    from pipeline.runners.vertex import compiled

    plan = from_what_loads(plan)
    pipeline = create_pipeline(plan, last=report)
    return f"trains{f' for {plan.span.name}' if plan.span else ''}", compiled(pipeline, image)


def _plan(job: VertexJob, run: str, span: str) -> Plan:
    return make_plan(job.recipe, job.file, job.input_dir, job.output, run, span)


def now(job: VertexJob, span: str) -> dict[str, Any] | None:
    """The pipeline that a run would start with now, to look at or to submit by hand; None where there is nothing
    to do.

    Raises:
      BadSpan: `span` is no span's name.
      DataError: an input is not there.
    """
    name = span_name(job.recipe, span) if job.recipe.spans is not None else ""
    (job.output / job.recipe.name).mkdir(parents=True, exist_ok=True)
    plan = _plan(job, datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ"), name)
    found = None if nothing_to_do(plan) else next_pipeline(plan, job.image)
    return found and found[1]


def run_all(job: VertexJob, span: str, execute: Execute, tell: Callable[[str], None]) -> int:
    """A run, or where `span` is the newest that is over, those before it that were missed too; see `run`."""
    if job.recipe.spans is None or span != LAST:
        return run(job, span, execute, tell)
    name = span_name(job.recipe, span)
    names = missed(job.recipe, job.file, job.input_dir, job.output / job.recipe.name, name)
    return in_order(names, name, lambda one: run(job, one, execute, tell))


def submit(job: VertexJob, span: str, tell: Callable[[str], None]) -> int:
    """`run_all` on Vertex AI."""
    from google.cloud import aiplatform

    aiplatform.init(project=job.project, location=job.region)
    if job.recipe.notify and job.recipe.notify.webhook not in os.environ:
        _know(job.project, job.recipe.notify.webhook, tell)

    def execute(pipeline: dict[str, Any], name: str, called: Callable[[str], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "job.json")
            path.write_text(text(pipeline), encoding="utf-8")
            submitted = aiplatform.PipelineJob(display_name=job.name, template_path=str(path), job_id=name)
        submitted.submit()
        called(submitted.resource_name)
        submitted.wait()

    return run_all(job, span, execute, tell)


def _know(project: str, variable: str, tell: Callable[[str], None]) -> None:
    """Sets an environment variable to the secret of its name: a container of Vertex AI has no other."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession
    from requests import RequestException

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        os.environ[variable] = secret(AuthorizedSession(credentials), project, variable)
    except (GoogleAuthError, RequestException) as error:
        tell(f"webhook: the secret {variable} of the project {project} cannot be read: {error}")
