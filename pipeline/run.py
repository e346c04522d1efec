"""`mtl run`: plan, steps, report, exit code."""

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import disk, distribution, memory, mounts, notify, progress, terminal
from pipeline.artifact_root import place_artifacts
from pipeline.catch_up import in_order, missed
from pipeline.conclusion import conclude, failed_outside, new_run, nothing_to_do, unchanged
from pipeline.ingest.errors import DataError, Unreachable
from pipeline.job_service import check_job_service
from pipeline.only_one import only_one
from pipeline.plan import Plan, make_plan
from pipeline.private import key_id
from pipeline.recipe import Recipe, load
from pipeline.recipe.dump import resolved
from pipeline.recipe.features import ENCODED
from pipeline.recipe.remote import remote_patterns
from pipeline.recipe.schema_file import check_schema
from pipeline.remote_files import local_files
from pipeline.report.sentences import beginning, kept_catalogs, lost
from pipeline.scratch import scratch
from pipeline.span_run import anew, ingest_spans, why_only_ingested
from pipeline.spans.calendar import span_name, span_range
from pipeline.unreported import finishing
from serving import versions
from serving.interrupts import not_lost

BLESSED, OTHER, BAD_RECIPE, REFUSED, BAD_DATA = 0, 1, 2, 3, 4


class BadOutput(Exception):
    """The output folder cannot be made."""


def run(
    recipe_file: Path,
    input_dir: Path,
    output: Path,
    settings: Sequence[str] = (),
    cache: bool = True,
    span: str = "",
) -> int:
    """Runs a recipe, or one span of it, and returns the exit code; the report is written whatever happens.

    Raises:
      BadSpan: `span` is no span's name, or the recipe has no `spans`; nothing was started.
      RecipeError: the recipe is wrong, there is no key for its private columns, or no job service or pipeline
        root where it says; nothing was started.
      BadOutput: nothing can be made there.
      NoRoom: nothing can be written there.
      Busy: another run is at work there.
    """
    recipe = load(recipe_file, settings)
    check_schema(recipe, recipe_file)
    key_id(recipe, recipe_file)
    check_job_service(recipe, recipe_file)
    distribution.one_process(recipe, recipe_file)
    span = span and span_name(recipe, span)
    home = output.resolve() / recipe.name
    try:
        (home / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOutput(f"--output: {home} cannot be written: {error.strerror}") from None
    before: list[str] = []
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_one(home, "run", before.append))
            doubt = place_artifacts(recipe, recipe_file, home)
            name = new_run(home / "runs")
            run_dir = home / "runs" / name
            (run_dir / "recipe.yaml").write_text(resolved(recipe))
            stack.enter_context(scratch(home))
        except OSError as error:
            raise disk.NoRoom(
                disk.full(error, home) or mounts.lost(error) or f"{home} cannot be written: {error.strerror}"
            ) from None
        with terminal.chatter_to(run_dir / "log.txt") as console:
            try:
                of = f", span {span}," if span else ""
                console.print(f"{recipe.name}: run {name}{of} in {terminal.shown(run_dir)}", markup=False)
                with _files(console, recipe, input_dir, home) as files:
                    plan, encoded = _planned(console, recipe, recipe_file, files, output, name, span)
                    plan = finishing(plan) if cache else plan
                    if plan.span and plan.span.left_out:
                        console.print(f"spans:   {_left_out(plan)}", markup=False)
                    if plan.span and plan.span.lost:
                        console.print(f"spans:   {lost(plan.span.lost)}", markup=False)
                    for said in (*anew(plan.span), *kept_catalogs(plan.span.catalogs)) if plan.span else ():
                        console.print(f"spans:   {said}", markup=False)
                    for said in before:
                        console.print(f"before:  {said}", markup=False)
                    if doubt:
                        console.print(f"root:    {doubt}", markup=False)
                    if plan.beginning:
                        console.print(f"model:   {beginning(plan.beginning.facts())}", markup=False)
                    nothing = nothing_to_do(plan) if cache else ""
                    if nothing:
                        return _unchanged(console, plan, nothing, encoded)
                    return _run(console, plan, cache, encoded)
            except (
                Exception,
                KeyboardInterrupt,
            ) as error:  # what a step raises is caught where steps are run
                traceback.print_exception(error)
                return _failed_outside(console, recipe, run_dir, span, error)


def run_spans(
    recipe_file: Path,
    input_dir: Path,
    output: Path,
    settings: Sequence[str],
    cache: bool,
    first: str,
    last: str,
) -> int:
    """Runs the spans from one to another, each as `run` does, and goes on where a model was refused.

    Returns:
      The exit code of the last one; of the first that broke, where the rest were left, which is told.

    Raises:
      BadSpan: one is no span's name, or `last` is before `first`.
    """
    spans = span_range(load(recipe_file, settings), first, last)
    for span in spans:
        code = run(recipe_file, input_dir, output, settings, cache, span)
        if code not in (BLESSED, REFUSED):
            if left := [later for later in spans if later > span]:
                print(
                    f"spans:   {span} ended with {code}, and {left[0]} to {left[-1]} were not run: mend it "
                    f"and give `--from {span} --to {left[-1]}`, or leave it out by `--from {left[0]} --to "
                    f"{left[-1]}`"
                )
            return code
    return code


def run_missed(
    recipe_file: Path, input_dir: Path, output: Path, settings: Sequence[str], cache: bool, span: str
) -> int:
    """Runs the spans before one that were missed, in order, and then it, each as `run` does.

    Returns:
      see `catch_up.in_order`.

    Raises:
      BadSpan: it is no span's name.
      Busy: another run is at work there.
    """
    recipe = load(recipe_file, settings)
    name = span_name(recipe, span)
    names = missed(recipe, recipe_file, input_dir, output.resolve() / recipe.name, name)
    return in_order(names, name, lambda one: run(recipe_file, input_dir, output, settings, cache, one))


def _left_out(plan: Plan) -> str:
    names = ", ".join(plan.span.left_out)
    return f"not trained on, as they were never ingested (`mtl run --from ... --to ...` does): {names}"


@contextlib.contextmanager
def _files(console: Console, recipe: Recipe, input_dir: Path, home: Path) -> Iterator[Path]:
    """The folder to read from; what is not on this machine is brought there first."""
    with contextlib.ExitStack() as stack:
        if not remote_patterns(recipe):
            yield input_dir
            return
        begin = time.perf_counter()
        with terminal.Steps(console) as steps:
            steps.start("fetching what is new of the remote files", 0, 0)
            folder = stack.enter_context(local_files(recipe, input_dir, home, steps.move))
            steps.end("remote files fetched", time.perf_counter() - begin, "")
        yield folder


def _planned(console: Console, recipe: Recipe, *given: Any) -> tuple[Plan, dict[str, float]]:
    """The plan, and the seconds of encoding; where there is content, it is encoded here, as its vectors'
    digests are part of the plan."""
    if not any(feature.kind in ENCODED for feature in recipe.features.values()):
        return make_plan(recipe, *given), {}
    begin = time.perf_counter()
    with terminal.Steps(console) as steps:
        steps.start("encoding what is new of the content", 0, 0)
        plan = make_plan(recipe, *given, steps.move)
        absent = {name: sum(table.reasons.values()) for name, table in plan.tables.items()}
        counts = ", ".join(f"{name} {count} absent" for name, count in absent.items())
        seconds = time.perf_counter() - begin
        steps.end("content encoded", seconds, counts)
    return plan, {"Encode": round(seconds, 2)}


def _run(console: Console, plan: Plan, cache: bool, encoded: Mapping[str, float]) -> int:
    begin = time.perf_counter()
    with terminal.Steps(console) as steps:
        steps.start("loading TensorFlow and TFX", 0, 0)
        progress.listen(steps.move)
        try:
            return _steps(console, steps, plan, cache, begin, encoded)
        finally:
            progress.listen(None)


def _steps(
    console: Console,
    steps: terminal.Steps,
    plan: Plan,
    cache: bool,
    begin: float,
    encoded: Mapping[str, float],
) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with not_lost():
        from pipeline.base_model import from_what_loads
        from pipeline.pipeline import create_pipeline
        from pipeline.runners.local import Step, StepFailed, run_steps

    done: dict[str, Step] = {name: Step(name, seconds) for name, seconds in encoded.items()}
    done |= {"start": Step("start", time.perf_counter() - begin, memory.peak())}
    steps.end("TensorFlow and TFX", done["start"].seconds, "")

    def end(step: Step) -> None:
        done[step.name] = step
        steps.end(step.name, step.seconds, "cached" if step.cached else "")

    names: list[str] = []
    stop = _stop_on_interrupt()
    only = ""  # why a run of a span ends once it is ingested

    def go(pipeline: Any) -> None:
        names.extend(c.id for c in pipeline.components)
        run_steps(pipeline, plan.run, steps.start, end, stop)

    failure: tuple[str, BaseException] | None
    try:
        if plan.span:
            ingest_spans(plan, cache, go, done)
            only = why_only_ingested(plan)
        if not only:
            planned, plan = plan, from_what_loads(plan)
            if plan is not planned:
                console.print(f"model:   {beginning(plan.beginning.facts())}", markup=False)
            go(create_pipeline(plan, cache))
        failure = None
    except StepFailed as error:
        failure = (error.step, error.__cause__)
        traceback.print_exception(error)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)
    total = time.perf_counter() - begin + sum(encoded.values())
    return _report(console, plan, done, names, failure, total, only)


def _stop_on_interrupt() -> threading.Event:
    """Ctrl-C raises as ever, and is remembered: a destructor may swallow the exception, and the run must
    not go on to push then."""
    stop = threading.Event()

    def interrupted(number: int, frame: Any) -> None:
        stop.set()
        signal.default_int_handler(number, frame)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)
    return stop


def _report(
    console: Console, plan: Plan, done: dict, names: list[str], failure: tuple | None, total: float, only: str
) -> int:
    from pipeline.outcome import data_error

    metrics = conclude(plan, done, names, failure, total, only, plan.fingerprint())
    _print_outcome(console, plan, metrics)
    _notify(console, plan.recipe, metrics, plan.run_dir, plan.span.name if plan.span else "")
    if failure is not None:
        return BAD_DATA if data_error(failure[1]) and not mounts.lost(failure[1]) else OTHER
    published = _published(console, plan)
    if published != BLESSED:
        return published
    return BLESSED if metrics["blessed"] or only else REFUSED


def _published(console: Console, plan: Plan) -> int:
    """Has what serves be where the recipe publishes it, which an earlier run may not have; an exit code."""
    uri = plan.recipe.serving.publish
    if uri is None or versions.current(plan.serving_dir) is None:
        return BLESSED
    from pipeline.beam_pipeline import beam_options
    from pipeline.publish import CannotPublish, publish

    try:
        version, copied = publish(plan.serving_dir, uri, beam_options(plan.recipe))
    except CannotPublish as error:
        then = "the next run, or `mtl models publish`, does it"
        console.print(f"publish: {str(error).removeprefix('publish: ')}; {then}", markup=False)
        return OTHER if error.again else BAD_DATA
    if copied:
        console.print(f"publish: version {version} is at {uri}", markup=False)
    return BLESSED


def _print_outcome(console: Console, plan: Plan, metrics: dict) -> None:
    from pipeline.report.summary import summary

    console.print(summary(metrics))
    console.print(f"report:  {terminal.shown(plan.run_dir / 'report' / 'index.html')}", markup=False)
    if metrics["pushed"]:
        console.print(f"pushed:  {terminal.shown(Path(metrics['pushed']))}", markup=False)
    console.print(f"log:     {terminal.shown(plan.run_dir / 'log.txt')}", markup=False)


def _unchanged(console: Console, plan: Plan, reason: str, encoded: Mapping[str, float]) -> int:
    metrics = unchanged(plan, reason, encoded)
    console.print(reason, markup=False)
    _notify(console, plan.recipe, metrics, plan.run_dir, plan.span.name if plan.span else "")
    console.print(f"report:  {terminal.shown(plan.run_dir / 'report' / 'index.html')}", markup=False)
    return _published(console, plan)


def _failed_outside(console: Console, recipe: Recipe, run_dir: Path, span: str, error: BaseException) -> int:
    """A run that failed before its first step, or after its last."""
    metrics, written = failed_outside(recipe, run_dir, error)
    console.print(f"failed at {metrics['failure']['step']}: {metrics['failure']['message']}", markup=False)
    where = terminal.shown(run_dir / "report" / "index.html") if written else "there is no room for one"
    console.print(f"report:  {where}", markup=False)
    console.print(f"log:     {terminal.shown(run_dir / 'log.txt')}", markup=False)
    _notify(console, recipe, metrics, run_dir, span)
    of_data = isinstance(error, DataError) and not isinstance(error, Unreachable) and not mounts.lost(error)
    return BAD_DATA if of_data else OTHER


def _notify(console: Console, recipe: Recipe, metrics: Mapping[str, Any], run_dir: Path, span: str) -> None:
    said = notify.notify(recipe, metrics, run_dir, span)
    if said:
        console.print(f"webhook: {said}", markup=False)
