"""`mtl run --span`: the ingestions of a run, and whether there is something to train on after them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.plan import Plan
from pipeline.spans.judged import Judged, judged_tasks
from pipeline.spans.resolve import SpanRun
from pipeline.spans.store import SpanStore, version_of
from serving.versions import record

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.runners.local import Step

_DONE = ("pushed", "unchanged", "ingested")  # a refused run is judged again: what serves may have changed


def settled(plan: Plan) -> str:
    """Why there is nothing to do, where the span's last run was of exactly this; else empty."""
    runs = SpanStore(plan.home).runs(plan.span.name)
    if plan.span.ingestions or not runs or runs[-1]["status"] not in _DONE:
        return ""
    last = runs[-1]
    if last["fingerprint"] != plan.fingerprint():
        return ""
    since = ""
    if last["status"] == "pushed" and plan.baseline and record(plan.baseline)["run"] != last["run"]:
        since = f"; what it pushed serves no more: version {plan.baseline.name} does"
    return (
        f"nothing to do: run {last['run']} was of the span {plan.span.name} with exactly this recipe, data and "
        f"code, and ended: {last['status']}{since} (--no-cache runs it all the same)"
    )


def anew(span: SpanRun) -> list[str]:
    """Which spans a run ingests again, and why; without full stops."""
    reasons = dict.fromkeys(one.again for one in span.ingestions if one.again)
    return [
        f"{', '.join(one.name for one in span.ingestions if one.again == reason)}: ingested anew, as {reason}"
        for reason in reasons
    ]


def ingest_spans(plan: Plan, cache: bool, go: Callable[[Pipeline], None], done: Mapping[str, Step]) -> None:
    """Ingests what is new or has changed, span by span; each version counts once it has kept to the schema.

    Args:
      plan: of a run of a span.
      cache: whether steps may be answered from it.
      go: runs a pipeline's steps.
      done: the steps that have ended, by name.
    """
    from pipeline.pipeline import create_ingestion

    store = SpanStore(plan.home)
    for span in plan.span.ingestions:
        go(create_ingestion(plan, span, cache))
        store.add(
            span.name,
            version_of(
                plan.home,
                Path(done[f"Ingest.{span.name}"].uri("examples")),
                Path(done[f"StatisticsGen.{span.name}"].uri("statistics")),
                **span.told(plan.run),
            ),
        )


def why_only_ingested(plan: Plan) -> str:
    """Why a span's run ends after ingestion; empty where it goes on to train."""
    name = plan.span.name
    serves = record(plan.baseline).get("span", "") if plan.baseline else ""
    if len(serves) == len(name) and serves > name:
        return f"version {plan.baseline.name}, which serves, is of the later span {serves}"
    if not plan.span.window:
        return f"none of the {plan.recipe.spans.window} spans before {name} has been ingested, to train on"
    store = SpanStore(plan.home)
    window = [store.newest(earlier) for earlier in plan.span.window]
    if not window[-1].tail_rows:
        return (
            f"the last {plan.recipe.spans.validation:.0%} of {plan.span.window[-1]} has no rows, and training "
            "stops by it (spans.validation)"
        )
    unknown = [
        task
        for task in plan.recipe.tasks
        if not sum(v.known[task]["all"] for v in window) - window[-1].known[task]["tail"]
    ]
    if unknown:
        waits = [task for task in unknown if plan.recipe.tasks[task].events]
        why = ": the windows of their labels are open" if waits == unknown else ""
        return f"the spans before {name} have no known label of {', '.join(unknown)} to train on yet{why}"
    return ""


def judged(plan: Plan) -> dict[str, Judged]:
    """Which span each task of a run is judged on, once the run's spans are ingested."""
    store, names = SpanStore(plan.home), (*plan.span.window, plan.span.name)
    spans = {name: store.counts(name) for name in names}
    base = plan.beginning.base if plan.beginning else None
    if base is None:
        return judged_tasks(plan.recipe, spans)
    told = json.loads((base.folder / "report" / "metrics.json").read_text())["span"]
    unseen = {name: of["unseen"] for name, of in told.get("judged", {}).items()}
    # a run before this was told trained on all labels before its own span
    return judged_tasks(plan.recipe, spans, dict.fromkeys(plan.recipe.tasks, told["name"]) | unseen)


def not_compared(plan: Plan, judged: Mapping[str, Judged]) -> dict[str, str]:
    """The tasks that are judged on a span whose labels the model that serves may have learned: task → why
    these two are not compared."""
    if plan.baseline is None:
        return {}
    made = record(plan.baseline)
    name, own = plan.baseline.name, made.get("span")
    found = {}
    for task, of in judged.items():
        if of.span in ("", plan.span.name):
            continue
        unseen = made.get("unseen", {}).get(task, own)
        if unseen is None or len(unseen) != len(of.span) or unseen > of.span:
            found[task] = f"version {name}, which serves, may have been trained on its labels of {of.span}"
    return found


def exposed(span: str, judged: Mapping[str, Judged]) -> list[str]:
    """The tasks of the run of a span that are judged on an earlier one, of whose rows this model was trained
    on other labels."""
    return [
        task
        for task, of in judged.items()
        if of.span not in ("", span) and any(other.unseen > of.span for other in judged.values())
    ]


def favoured(plan: Plan, judged: Mapping[str, Judged]) -> dict[str, str]:
    """The tasks that are judged on rows whose other labels this model was trained on, and the model that serves
    was not: task → why a comparison that they pass says little."""
    if plan.baseline is None:
        return {}
    name, own = plan.baseline.name, record(plan.baseline).get("span", "")
    return {
        task: f"this model was trained on other labels of these rows, and version {name}, of {own}, was not"
        for task in exposed(plan.span.name, judged)
        if own <= judged[task].span
    }


def shown(plan: Plan) -> dict[str, Any]:
    """What the report says of a run's spans."""
    store = SpanStore(plan.home)
    names = [*plan.span.window, plan.span.name]
    versions = {name: version for name in names if (version := store.newest(name))}
    trains = len(versions) == len(names) and not why_only_ingested(plan)
    return {
        "name": plan.span.name,
        "spans": [
            {
                "name": name,
                "version": version.version,
                "rows": version.rows,
                "ingested": version.run == plan.run,
                "known": {task: of["all"] for task, of in version.known.items()},
            }
            for name, version in versions.items()
        ],
        "left_out": list(plan.span.left_out),
        "lost": list(plan.span.lost),
        "catalogs": plan.span.catalogs,
        "judged": {name: of.facts() for name, of in judged(plan).items()} if trains else {},
    }
