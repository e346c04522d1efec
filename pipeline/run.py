"""`mtl run`: plan, steps, report, exit code."""

import contextlib
import datetime
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import disk, distribution, memory, notify, progress, terminal
from pipeline.artifact_root import place_artifacts
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
from pipeline.report.sentences import beginning, kept_catalogs
from pipeline.report.versions import package_versions
from pipeline.scratch import scratch
from pipeline.span_run import anew, ingest_spans, settled, shown, why_only_ingested
from pipeline.spans.calendar import span_name, span_range
from pipeline.spans.store import SpanStore
from pipeline.unreported import finishing
from serving import versions
from serving.interrupts import not_lost

BLESSED, OTHER, BAD_RECIPE, REFUSED, BAD_DATA = 0, 1, 2, 3, 4
# (step, its output) -> its name in the run's folder
MADE = {
    ("Ingest", "examples"): "examples",
    ("Window", "examples"): "examples",
    ("BuildVocabularies", "vocabularies"): "vocabularies",
    ("Transform", "transformed_examples"): "transformed_examples",
    ("Transform", "transform_graph"): "transform_graph",
    ("Trainer", "model_run"): "model_run",
    ("Trainer", "model"): "model",
}


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
            place_artifacts(recipe, recipe_file, home)
            name = _new_run(home / "runs")
            run_dir = home / "runs" / name
            (run_dir / "recipe.yaml").write_text(resolved(recipe))
            stack.enter_context(scratch(home))
        except OSError as error:
            raise disk.NoRoom(
                disk.full(error, home) or f"{home} cannot be written: {error.strerror}"
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
                    for said in (*anew(plan.span), *kept_catalogs(plan.span.catalogs)) if plan.span else ():
                        console.print(f"spans:   {said}", markup=False)
                    for said in before:
                        console.print(f"before:  {said}", markup=False)
                    if plan.beginning:
                        console.print(f"model:   {beginning(plan.beginning.facts())}", markup=False)
                    nothing = _nothing_to_do(plan) if cache else ""
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


def _nothing_to_do(plan: Plan) -> str:
    if plan.is_unchanged():
        return (
            f"nothing to do: version {plan.baseline.name}, which serves, was made from exactly this "
            "recipe, data and code (--no-cache runs it all the same)"
        )
    return settled(plan) if plan.span and not plan.finishes else ""


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
    from pipeline.outcome import data_error, facts_of, letters_step
    from pipeline.report.write import write_report
    from pipeline.tuned import patch

    if "ServingCheck" in done:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(
                Path(done["ServingCheck"].uri("verdict"), "requests.jsonl"), plan.run_dir / "requests.jsonl"
            )
    _keep_dead_letters(plan, done, letters_step(plan))
    _publish_history(plan, done, letters_step(plan))
    if "Trainer" in done:
        _link(Path(done["Trainer"].uri("model_run"), "tensorboard"), plan.run_dir / "tensorboard")
    for step, key in MADE.items():  # what `mtl train`, `mtl compare` and `mtl fuse` begin from
        if step[0] in done:
            _link(Path(done[step[0]].uri(step[1])), plan.run_dir / key)
    facts = facts_of(plan, done, names, failure, total, package_versions(), only)
    metrics = write_report(facts, plan.run_dir / "report")
    if metrics["tuning"]:
        (plan.run_dir / "tune.yaml").write_text(patch(metrics["tuning"], plan.run), encoding="utf-8")
    _latest(plan.run_dir)
    _print_outcome(console, plan, metrics)
    _notify(console, plan.recipe, metrics, plan.run_dir, plan.span.name if plan.span else "")
    if failure is not None:
        return BAD_DATA if data_error(failure[1]) else OTHER
    published = _published(console, plan)
    if plan.span:
        drifted = any((g["gate"], g["status"]) == ("drift", "failed") for g in metrics["gates"])
        SpanStore(plan.home).add_run(
            plan.span.name, plan.run, plan.fingerprint(), metrics["status"], metrics["reason"], drifted
        )
    if not published:
        return OTHER
    return BLESSED if metrics["blessed"] or only else REFUSED


def _published(console: Console, plan: Plan) -> bool:
    """Whether what serves is where the recipe publishes it, which an earlier run may have failed at."""
    uri = plan.recipe.serving.publish
    if uri is None or versions.current(plan.serving_dir) is None:
        return True
    from pipeline.beam_pipeline import beam_options
    from pipeline.publish import CannotPublish, publish

    try:
        version, copied = publish(plan.serving_dir, uri, beam_options(plan.recipe))
    except CannotPublish as error:
        console.print(f"publish: {error}; the next run, or `mtl models publish`, does it", markup=False)
        return False
    if copied:
        console.print(f"publish: version {version} is at {uri}", markup=False)
    return True


def _keep_dead_letters(plan: Plan, done: dict, step: str) -> None:
    """A copy with the run: the next run's letters replace those of a failed ingestion."""
    folder = Path(done[step].uri("examples")) if step in done else plan.home / "dead"
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(folder / "dead_letters.jsonl", plan.run_dir)


def _publish_history(plan: Plan, done: dict, step: str) -> None:
    """The newest values of history features, for whoever fills an online store: each file whole, or as it
    was. They are of the data and not of the model: a refused model does not hold them back."""
    if step.replace("Ingest", "DataGate") not in done:  # the data broke the schema, or were there before
        return
    if plan.span and SpanStore(plan.home).has_later(plan.span.name):  # these are not the newest values
        return
    online = plan.home / "online"
    made = Path(done[step].uri("examples"), "online")
    new = sorted(made.iterdir()) if made.is_dir() else []
    for file in new:
        online.mkdir(exist_ok=True)
        part = online / f".{file.name}.partial"
        shutil.copy(file, part)
        os.replace(part, online / file.name)
    for old in online.glob("*.parquet"):
        if old.name not in {file.name for file in new}:
            old.unlink()


def _print_outcome(console: Console, plan: Plan, metrics: dict) -> None:
    from pipeline.report.summary import summary

    console.print(summary(metrics))
    console.print(f"report:  {terminal.shown(plan.run_dir / 'report' / 'index.html')}", markup=False)
    if metrics["pushed"]:
        console.print(f"pushed:  {terminal.shown(Path(metrics['pushed']))}", markup=False)
    console.print(f"log:     {terminal.shown(plan.run_dir / 'log.txt')}", markup=False)


def _unchanged(console: Console, plan: Plan, reason: str, encoded: Mapping[str, float]) -> int:
    from pipeline.report.facts import RunFacts
    from pipeline.report.write import write_report

    metrics = write_report(
        RunFacts(
            plan.recipe.name,
            plan.run,
            "unchanged",
            reason,
            blessed=True,
            started=plan.started,
            recipe_text=resolved(plan.recipe),
            serving_model=f"version {plan.baseline.name}" if plan.baseline else None,
            kinds={n: t.kind for n, t in plan.recipe.tasks.items()},
            seconds=encoded,
            versions=package_versions(),
            span=shown(plan) if plan.span else None,
        ),
        plan.run_dir / "report",
    )
    if plan.baseline:
        with contextlib.suppress(FileNotFoundError):
            made_by = versions.record(plan.baseline)["run"]
            shutil.copy(plan.home / "runs" / made_by / "requests.jsonl", plan.run_dir)
    _latest(plan.run_dir)
    console.print(reason, markup=False)
    _notify(console, plan.recipe, metrics, plan.run_dir, plan.span.name if plan.span else "")
    console.print(f"report:  {terminal.shown(plan.run_dir / 'report' / 'index.html')}", markup=False)
    return BLESSED if _published(console, plan) else OTHER


def _failed_outside(
    console: Console, recipe: Recipe, run_dir: Path, span: str, error: BaseException
) -> int:
    """A run that failed before its first step, or after its last: a report all the same, if there is room."""
    from pipeline.report.facts import Failure, RunFacts
    from pipeline.report.metrics_json import build_metrics
    from pipeline.report.write import write_report

    message = str(error) if isinstance(error, (DataError, ValueError)) else ""
    no_room = disk.full(error, run_dir.parent.parent)
    message = no_room or message.strip() or f"{type(error).__name__}: {error}"
    if isinstance(error, KeyboardInterrupt):
        message = "stopped by Ctrl-C; what had finished is in the cache, and the next run goes on from there"
    step = "inputs" if isinstance(error, DataError) else "mtl run"
    facts = RunFacts(
        recipe.name,
        run_dir.name,
        "failed",
        message.splitlines()[0],
        kinds={n: t.kind for n, t in recipe.tasks.items()},
        failure=Failure(step, message),
        versions=package_versions(),
    )
    console.print(f"failed at {step}: {message}", markup=False)
    try:
        write_report(facts, run_dir / "report")
        _latest(run_dir)
        console.print(f"report:  {terminal.shown(run_dir / 'report' / 'index.html')}", markup=False)
    except OSError as second:
        if not disk.full(second, run_dir):
            raise
        console.print("report:  there is no room for one", markup=False)
    console.print(f"log:     {terminal.shown(run_dir / 'log.txt')}", markup=False)
    _notify(console, recipe, build_metrics(facts), run_dir, span)
    return BAD_DATA if isinstance(error, DataError) and not isinstance(error, Unreachable) else OTHER


def _notify(
    console: Console, recipe: Recipe, metrics: Mapping[str, Any], run_dir: Path, span: str
) -> None:
    said = notify.notify(recipe, metrics, run_dir, span)
    if said:
        console.print(f"webhook: {said}", markup=False)


def _new_run(folder: Path) -> str:
    base = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for name in (base, *(f"{base}-{i}" for i in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            (folder / name).mkdir()
            return name
    raise FileExistsError(f"100 runs began in one second in {folder}")


def _latest(run_dir: Path) -> None:
    link = run_dir.parent.parent / "latest"
    part = link.with_name(f".latest-{os.getpid()}")
    part.unlink(missing_ok=True)
    part.symlink_to(Path("runs", run_dir.name))
    os.replace(part, link)


def _link(folder: Path, link: Path) -> None:
    if folder.is_dir() and not link.exists():
        link.symlink_to(os.path.relpath(folder, link.parent))
