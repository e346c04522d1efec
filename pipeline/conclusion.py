"""What a run leaves in its folder once its steps have ended, wherever these ran: report, links, history."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import disk, mounts
from pipeline.ingest.errors import DataError
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.recipe.dump import resolved
from pipeline.report.facts import Failure, RunFacts
from pipeline.report.versions import package_versions
from pipeline.span_run import settled, shown
from pipeline.spans.store import SpanStore
from serving import versions

if TYPE_CHECKING:
    from pipeline.runners.local import Step

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


def new_run(folder: Path) -> str:
    """Makes a run's folder, named by the time, in `folder`; its name."""
    base = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for name in (base, *(f"{base}-{i}" for i in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            (folder / name).mkdir()
            return name
    raise FileExistsError(f"100 runs began in one second in {folder}")


def nothing_to_do(plan: Plan) -> str:
    """Why a run would change nothing; empty where it would."""
    if plan.is_unchanged():
        return (
            f"nothing to do: version {plan.baseline.name}, which serves, was made from exactly this "
            "recipe, data and code (--no-cache runs it all the same)"
        )
    return settled(plan) if plan.span and not plan.finishes else ""


def conclude(
    plan: Plan,
    done: dict[str, Step],
    names: list[str],
    failure: tuple[str, BaseException] | None,
    total: float,
    only: str,
    fingerprint: str,
) -> dict[str, Any]:
    """Writes the report, and what else later runs and commands read of a run.

    Args:
      plan: of the run, whose folder is there.
      done: the steps that ended, by name.
      names: all that were to run.
      failure: the step that broke, and how; None where none did.
      total: seconds.
      only: why a run of a span was to end once it was ingested; else empty.
      fingerprint: of the plan, as it was when the run began.

    Returns:
      the content of metrics.json.
    """
    from pipeline.outcome import facts_of, letters_step
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
    if plan.span and failure is None:
        drifted = any((g["gate"], g["status"]) == ("drift", "failed") for g in metrics["gates"])
        SpanStore(plan.home).add_run(
            plan.span.name, plan.run, fingerprint, metrics["status"], metrics["reason"], drifted
        )
    return metrics


def unchanged(plan: Plan, reason: str, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Writes the report of a run that had nothing to do.

    Args:
      plan: of the run, whose folder is there.
      reason: as `nothing_to_do` gives it.
      seconds: step → seconds, of what it did all the same.

    Returns:
      the content of metrics.json.
    """
    from pipeline.report.write import write_report

    facts = RunFacts(
        plan.recipe.name,
        plan.run,
        "unchanged",
        reason,
        blessed=True,
        started=plan.started,
        recipe_text=resolved(plan.recipe),
        serving_model=f"version {plan.baseline.name}" if plan.baseline else None,
        kinds={n: t.kind for n, t in plan.recipe.tasks.items()},
        seconds=seconds,
        versions=package_versions(),
        span=shown(plan) if plan.span else None,
    )
    metrics = write_report(facts, plan.run_dir / "report")
    if plan.baseline:
        with contextlib.suppress(FileNotFoundError):
            made_by = versions.record(plan.baseline)["run"]
            shutil.copy(plan.home / "runs" / made_by / "requests.jsonl", plan.run_dir)
    _latest(plan.run_dir)
    return metrics


def failed_outside(recipe: Recipe, run_dir: Path, error: BaseException) -> tuple[dict[str, Any], bool]:
    """Writes the report of a run that failed before its first step, or after its last, if there is room.

    Returns:
      the content of metrics.json, and whether it is there.
    """
    from pipeline.report.metrics_json import build_metrics
    from pipeline.report.write import write_report

    message = str(error) if isinstance(error, (DataError, ValueError)) else ""
    of_machine = disk.full(error, run_dir.parent.parent) or mounts.lost(error)
    message = of_machine or message.strip() or f"{type(error).__name__}: {error}"
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
    try:
        metrics = write_report(facts, run_dir / "report")
        _latest(run_dir)
    except OSError as second:
        if not disk.full(second, run_dir):
            raise
        return build_metrics(facts), False
    return metrics, True


def _keep_dead_letters(plan: Plan, done: dict[str, Step], step: str) -> None:
    """A copy with the run: the next run's letters replace those of a failed ingestion."""
    folder = Path(done[step].uri("examples")) if step in done else plan.home / "dead"
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(folder / "dead_letters.jsonl", plan.run_dir)


def _publish_history(plan: Plan, done: dict[str, Step], step: str) -> None:
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


def _latest(run_dir: Path) -> None:
    link = run_dir.parent.parent / "latest"
    part = link.with_name(f".latest-{os.getpid()}")
    part.unlink(missing_ok=True)
    part.symlink_to(Path("runs", run_dir.name))
    os.replace(part, link)


def _link(folder: Path, link: Path) -> None:
    if folder.is_dir() and not link.exists():
        link.symlink_to(os.path.relpath(folder, link.parent))
