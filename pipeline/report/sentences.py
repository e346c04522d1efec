"""What a run came to, in sentences: for the page, the Markdown summary and whoever is called at night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.evaluation.gates import counted
from pipeline.metric_names import DIRECTIONS
from pipeline.report.numbers import difference_interval_text, difference_text, interval_text, metric_text
from pipeline.report.words import headline_of, metric_name

HEADLINES = {
    "pushed": "Pushed",
    "refused": "Not pushed: refused by a gate",
    "failed": "Not pushed: the run failed",
    "unchanged": "Nothing new to push",
    "evaluated": "Evaluated",
    "ingested": "Ingested; nothing to push",
}


def compare(
    metric: str, value: float | None, baseline: float | None, interval: Sequence[float] | None
) -> str:
    """ "better", "worse", "unclear" (an interval that holds 0, or none) or "" (no comparison)."""
    if value is None or baseline is None or metric not in DIRECTIONS:
        return ""
    direction = DIRECTIONS[metric]
    if direction == 0 or not interval:
        return "unclear"
    if interval[0] * direction > 0 and interval[1] * direction > 0:
        return "better"
    return "worse" if interval[0] * direction < 0 and interval[1] * direction < 0 else "unclear"


def headline(metrics: Mapping[str, Any]) -> str:
    """How the run ended, in a few words."""
    failed_gates = counted(gate["status"] for gate in metrics["gates"]).failed
    if metrics["status"] == "refused" and failed_gates > 1:
        return f"Not pushed: refused by {failed_gates} gates"
    if metrics["status"] == "evaluated" and failed_gates:
        return f"Evaluated: {failed_gates} gate{'s' if failed_gates > 1 else ''} would refuse it"
    return HEADLINES[metrics["status"]]


def aftermath(metrics: Mapping[str, Any]) -> str:
    """What serves now."""
    if metrics["pushed"]:
        return f"TensorFlow Serving loads it from {metrics['pushed']}."
    if metrics["status"] in ("refused", "failed"):
        if metrics["serving_model"]:
            return f"Nothing was pushed: {metrics['serving_model']} keeps serving."
        return "Nothing was pushed."
    return ""


def task_sentence(name: str, task: Mapping[str, Any]) -> str:
    """What became of one task, by its headline metric."""
    metric = headline_of(task["kind"], task["metrics"])
    if metric is None:
        return f"{name} was not evaluated."
    value, interval = task["metrics"][metric], task["intervals"].get(metric)
    if value is None:
        return f"{name} could not be measured: {task['notes'].get(metric, 'its value is not a number')}."
    known, label = metric_text(value, interval), metric_name(metric)
    baseline = (task["baseline"] or {}).get(metric)
    if baseline is None:
        between = f" (95 % interval {interval_text(interval)})" if interval else ""
        return f"{name}: {label} {known}{between}."
    difference = task["differences"].get(metric)
    verdict = compare(metric, value, baseline, difference)
    # written alike, to the places that the difference supports: the model's own interval is far wider
    at = difference or interval
    between = f" ({difference_interval_text(difference)})" if difference_interval_text(difference) else ""
    numbers = (
        f"{label} {metric_text(value, at)} against {metric_text(baseline, at, like=value)}, "
        f"{difference_text(value - baseline, difference, like=value)}{between}"
    )
    if verdict in ("better", "worse"):
        return f"{name} is {verdict} than the serving model: {numbers}."
    if value == baseline and not between:
        return f"{name} is as the serving model: {label} {known}."
    return f"{name}: no difference to the serving model can be told: {numbers}."


def task_sentences(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(verdict, sentence) of every task that was evaluated; the worst first."""
    found = []
    for name, task in metrics["tasks"].items():
        metric = headline_of(task["kind"], task["metrics"])
        if metric is not None:
            baseline = (task["baseline"] or {}).get(metric)
            verdict = compare(metric, task["metrics"][metric], baseline, task["differences"].get(metric))
            found.append((verdict, task_sentence(name, task)))
    order = {"worse": 0, "unclear": 1, "": 2, "better": 3}
    return sorted(found, key=lambda of: order[of[0]])


def kept_catalogs(catalogs: Mapping[str, Sequence[str]]) -> list[str]:
    """Of each catalog that has changed, which spans keep what it said before; without full stops."""
    found = []
    for catalog, spans in catalogs.items():
        several = f"{len(spans)} spans, {spans[0]} to {spans[-1]}," if len(spans) > 1 else spans[0]
        found.append(
            f"{catalog} has changed: {several} {'keep' if len(spans) > 1 else 'keeps'} what it said before "
            "(spans.catalogs)"
        )
    return found


def lost(spans: Sequence[str]) -> str:
    """Which spans were ingested and are of no use any more; without a full stop."""
    return (
        "not trained on, as they were ingested by other code or for another recipe, or their files are gone, and "
        f"the log has no row of them any more (bring it back, to have them ingested anew): {', '.join(spans)}"
    )


def beginning(facts: Mapping[str, Any]) -> str:
    """How training began, as `pipeline.warm_start.Beginning.facts` tells it; without a full stop."""
    if facts["run"] is None:
        return f"trained from nothing: {facts['reason']}"
    return (
        f"began from version {facts['version']} (run {facts['run']}); {facts['since_full']} since the last "
        f"run that trained from nothing, as one in {facts['every']} does"
    )
