"""What came of a run's steps, gathered for the report."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline import disk, memory, mounts, staleness, tuned
from pipeline.components.verdicts import read_verdicts
from pipeline.evaluation.files import METRICS, RELIABILITY
from pipeline.evaluation.gates import agreement
from pipeline.evaluation.table import MetricsTable
from pipeline.ingest.counts import Counts
from pipeline.ingest.errors import DataError
from pipeline.ingest.explain import DEAD_LETTERS
from pipeline.job_service import without_workers
from pipeline.plan import Plan
from pipeline.recipe.beam import Beam
from pipeline.recipe.dump import resolved
from pipeline.report.counted import row_counts
from pipeline.report.facts import Failure, RowCounts, RunFacts
from pipeline.runners.local import Step
from pipeline.span_run import shown
from pipeline.trainer import HISTORY
from pipeline.watch.found import read_pictures, read_watched
from serving.versions import record


class BrokeElsewhere(Exception):
    """A step broke in another process, or on another machine; in the words to tell."""


def facts_of(
    plan: Plan,
    done: dict[str, Step],
    names: list[str],
    failure: tuple[str, BaseException] | None,
    total: float,
    versions: dict[str, str],
    only: str,
) -> RunFacts:
    """Reads what each finished step left; steps that did not finish leave their part out. `only` says why a run
    of a span was to end once it was ingested."""
    verdicts = []
    for name in done:
        if name.partition(".")[0] in ("DataGate", "Gate"):
            verdicts += read_verdicts(done[name].uri("verdict"))
    pushed = done["Push"].outputs["pushed"][0] if "Push" in done else None
    path = pushed.get_string_custom_property("pushed_destination") if pushed else ""
    blessed = bool(pushed and pushed.get_int_custom_property("blessed"))
    said = "no gate was asked" if plan.recipe.gates == "none" else agreement(verdicts)
    status, reason, failed = "pushed", f"{said}; version {Path(path).name} serves from now on", None
    if failure is not None:
        step, error = failure
        failed = Failure(step, step_message(error, plan.home, plan.recipe.beam))
        status, reason = "failed", f"{step}: {failed.message.splitlines()[0]}"
    elif only:
        status, reason = "ingested", f"{plan.span.name} is ingested; no model was trained: {only}"
    elif blessed and pushed.get_int_custom_property("moved"):
        blessed, status = False, "refused"
        compared = f"version {plan.baseline.name}" if plan.baseline else "nothing"
        reason = (
            f"what serves changed during the run, and the gates compared with {compared}: run again to "
            f"compare with what serves now (`mtl models list {plan.home}`)"
        )
    elif blessed and pushed.get_string_custom_property("withdrawn"):
        blessed, status = False, "refused"
        number = pushed.get_string_custom_property("withdrawn")
        reason = (
            f"this very model is version {number}, which was rolled back from, or whose push was cut off; "
            f"`mtl models promote {plan.home} {number}` serves it all the same"
        )
    elif blessed and not path and plan.finishes:
        path, by = str(plan.finishes), record(plan.finishes)["run"]
        reason = f"{said}; version {plan.finishes.name} serves: run {by} pushed it, and was killed after that"
    elif blessed and not path:
        status = "unchanged"
        reason = (
            f"nothing to push: {said}, and version {plan.baseline.name}, which serves, is this very model"
        )
    elif not blessed:
        status = "refused"
        reason = "; ".join(v.sentence for v in verdicts if v.status == "failed")
    left_out = {*done, *([failure[0]] if failure else [])}
    return RunFacts(
        recipe=plan.recipe.name,
        run=plan.run,
        started=plan.started,
        status=status,
        reason=reason,
        blessed=blessed,
        pushed=path or None,
        kinds={n: t.kind for n, t in plan.recipe.tasks.items()},
        serving_model=f"version {plan.baseline.name}" if plan.baseline else None,
        rows=_rows(plan, done, failure),
        verdicts=verdicts,
        training=_training(done),
        tuning=tuned.facts(Path(done["Tuner"].uri("tuner_results")), plan.recipe.tune.trials)
        if "Tuner" in done
        else None,
        table=MetricsTable.read(Path(done["Evaluate"].uri("evaluation"), METRICS))
        if "Evaluate" in done
        else None,
        seconds={**{n: round(s.seconds, 2) for n, s in done.items()}, "total": round(total, 2)},
        memory={n: s.memory for n, s in done.items() if s.memory is not None},
        reliability=pq.read_table(Path(done["Evaluate"].uri("evaluation"), RELIABILITY)).to_pylist()
        if "Evaluate" in done
        else [],
        vectors=read_watched(done["WatchVectors"].uri("watched")) if "WatchVectors" in done else {},
        pictures=read_pictures(done["WatchVectors"].uri("watched")) if "WatchVectors" in done else {},
        cached=[n for n, s in done.items() if s.cached],
        versions=versions,
        failure=failed,
        not_reached=[n for n in names if n not in left_out],
        recipe_text=resolved(plan.recipe),
        span=shown(plan) if plan.span else None,
        staleness=json.loads(Path(done["Staleness"].uri("staleness"), staleness.FILE).read_text())
        if "Staleness" in done
        else None,
        warm_start=plan.beginning.facts() if plan.beginning and "Trainer" in done else None,
    )


def read_step(plan: Plan) -> str:
    """The step whose `examples` are those that a run reads: its window's, or all there is."""
    return "Window" if plan.span else "Ingest"


def letters_step(plan: Plan) -> str:
    """The step that read what is new."""
    return f"Ingest.{plan.span.name}" if plan.span else "Ingest"


def _rows(plan: Plan, done: dict[str, Step], failure: tuple[str, BaseException] | None) -> RowCounts | None:
    step = next((done[name] for name in (read_step(plan), letters_step(plan)) if name in done), None)
    if step is not None:
        counts = Counts.load(Path(step.uri("examples"), "counts.json"))
    else:
        counts = getattr(data_error(failure[1]), "counts", None) if failure else None
    return counts and row_counts(counts, plan.run_dir / DEAD_LETTERS)


def _training(done: dict[str, Step]) -> dict[str, Any] | None:
    return (
        json.loads(Path(done["Trainer"].uri("model_run"), HISTORY).read_text()) if "Trainer" in done else None
    )


def data_error(error: BaseException | None) -> DataError | None:
    """The DataError that an error is or was caused by."""
    while error is not None and not isinstance(error, DataError):
        error = error.__cause__ or error.__context__
    return error


def step_message(error: BaseException, home: Path, beam: Beam | None = None) -> str:
    """What a person is told of an error that ended a step.

    Args:
      error: that ended it.
      home: the folder that it writes to.
      beam: the recipe's, where it is at hand.
    """
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C; what had finished is in the cache, and the next run goes on from there"
    if isinstance(error, BrokeElsewhere):
        return str(error)
    said = disk.full(error, home) or mounts.lost(error) or memory.refused(error)
    said = said or (without_workers(error, beam) if beam else "")
    return said or str(data_error(error) or f"{type(error).__name__}: {error}")
