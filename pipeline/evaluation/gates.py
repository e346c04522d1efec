"""Gates: does each task's metric keep its bounds, and is it no worse than the serving model's?

A gate never raises over what a model did: it gives verdicts, one plain sentence each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pipeline.evaluation.table import OVERALL, MetricRow, MetricsTable

# Which way is better: +1 higher, -1 lower, 0 closest to 1.
DIRECTIONS = {"auc": 1, "gauc": 1, "logloss": -1, "mae": -1, "rmse": -1, "calibration": 0}

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Gate:
    """What a task's metric must keep.

    Attributes:
      slice: "feature=value"; None is all rows.
      lower, upper: bounds, included.
      max_drop: how much worse than the serving model it may be, in the metric's own units;
        worse is lower, higher or further from 1 as the metric has it.
      min_examples: with fewer rows of known label the gate is skipped.

    Raises:
      ValueError: if nothing is bounded, a bound is not finite, lower is above upper, max_drop is
        negative or on a metric of unknown direction, or the slice has no "=".
    """

    task: str
    metric: str
    slice: str | None = None
    lower: float | None = None
    upper: float | None = None
    max_drop: float | None = None
    min_examples: int = 0

    def __post_init__(self) -> None:
        where = f"gate {self.task}/{self.metric}"
        bounds = {n: getattr(self, n) for n in ("lower", "upper", "max_drop") if getattr(self, n) is not None}
        if not bounds:
            raise ValueError(f"{where} bounds nothing: give lower, upper or max_drop")
        for name, bound in bounds.items():
            if not math.isfinite(bound):
                raise ValueError(f"{where}: {name} is {bound}; it must be a finite number")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"{where}: lower {self.lower} is above upper {self.upper}; nothing can pass")
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"{where}: max_drop is {self.max_drop}; it must be 0 or more")
        if self.max_drop is not None and self.metric not in DIRECTIONS:
            raise ValueError(f"{where}: max_drop needs a metric whose better side is known: {', '.join(DIRECTIONS)}")
        if self.slice is not None and "=" not in self.slice:
            raise ValueError(f"{where}: slice is {self.slice!r}; it must be written feature=value")


@dataclass(frozen=True)
class Verdict:
    """What a gate said.

    Attributes:
      sentence: names task, metric, value, bound and slice.
      gate: which gate of the pipeline spoke: "metrics" for this module's; others (schema,
        serving check) make verdicts of the same type.
    """

    status: Status
    sentence: str
    task: str | None = None
    metric: str | None = None
    slice: str | None = None
    gate: str = "metrics"


def _exact(x: float) -> Decimal:
    # The shortest decimal that reads back as x: what a person wrote in the recipe, and no rounding.
    return Decimal(repr(float(x)))


def _digits(x: Decimal, places: int) -> str:
    return f"{x:,.{places}f}"


def _places_apart(pairs: Sequence[tuple[Decimal, Decimal]]) -> int:
    """Decimal places, 3 or more, at which rounding neither joins nor reorders any pair."""
    most = max(-int(x.as_tuple().exponent) for pair in pairs for x in pair)
    for places in range(3, max(3, most) + 1):
        unit = Decimal(1).scaleb(-places)
        rounded = [(a.quantize(unit), b.quantize(unit)) for a, b in pairs]
        if all((a > b) == (ra > rb) and (a < b) == (ra < rb) for (a, b), (ra, rb) in zip(pairs, rounded)):
            return places
    return max(3, most)


def _bound_sentence(head: str, value: float, bound: float, side: Literal["lower", "upper"]) -> tuple[Status, str]:
    v, b = _exact(value), _exact(bound)
    places = _places_apart([(v, b)])
    unit = Decimal(1).scaleb(-places)
    gap = abs(v.quantize(unit) - b.quantize(unit))
    shown, limit = _digits(v, places), _digits(b, places)
    if v == b:
        return "passed", f"{head} {shown} is exactly the {side} bound"
    outside = v < b if side == "lower" else v > b
    word = "below" if v < b else "above"
    kind = "bound" if outside else f"{side} bound"
    return ("failed" if outside else "passed"), f"{head} {shown} is {word} the {kind} {limit} by {_digits(gap, places)}"


def _drop_sentence(head: str, metric: str, value: float, baseline: float, max_drop: float) -> tuple[Status, str]:
    v, b, allowed = _exact(value), _exact(baseline), _exact(max_drop)
    direction = DIRECTIONS[metric]
    # Distances of which the smaller is better, so that one arithmetic serves every direction.
    badness = {1: lambda x: -x, -1: lambda x: x, 0: lambda x: abs(x - 1)}[direction]
    drop = badness(v) - badness(b)
    failed = drop > allowed
    # Rounding is right when value and baseline stay apart and the printed drop falls on the
    # same side of the printed allowance as the exact one.
    places = _places_apart([(v, b), (badness(v), badness(b)), (drop, allowed)])
    most = max(places, *(-int(x.as_tuple().exponent) for x in (v, b, allowed)))
    while places < most:
        unit = Decimal(1).scaleb(-places)
        printed = badness(v.quantize(unit)) - badness(b.quantize(unit))
        limit = allowed.quantize(unit)
        if (printed > limit) == failed and (printed < limit) == (drop < allowed):
            break
        places += 1
    unit = Decimal(1).scaleb(-places)
    gap = _digits(abs(badness(v.quantize(unit)) - badness(b.quantize(unit))), places)
    theirs = f"the serving model's {_digits(b, places)}"
    if drop == 0:
        compared = f"is as good as {theirs}"
    elif direction:
        word = "below" if v < b else "above"
        compared = f"is {word} {theirs} by {gap}"
    else:
        compared = f"is {'further from' if drop > 0 else 'closer to'} 1 than {theirs} by {gap}"
    if failed:
        compared += f", more than the {_digits(allowed, places)} allowed"
    elif drop > 0:
        compared += f", within the {_digits(allowed, places)} allowed"
    elif drop < 0:
        compared += ", which is better"
    return ("failed" if failed else "passed"), f"{head} {_digits(v, places)} {compared}"


def _undefined(row: MetricRow) -> str:
    return row.note or ("there is no example with a known label" if not row.examples else "its value is not a number")


def judge(gate: Gate, table: MetricsTable) -> list[Verdict]:
    """The verdicts of one gate: one for each of lower, upper and max_drop it gives."""
    name = gate.slice or OVERALL
    head = f"{gate.task}: {gate.metric}"

    def verdict(status: Status, sentence: str) -> Verdict:
        return Verdict(status, sentence, gate.task, gate.metric, name)

    row = table.get(gate.task, gate.metric, name)
    if row is None:
        return [verdict(*_absent(gate, table, head, name))]
    where = f"(slice {name}, {row.examples:,} examples)"
    if row.examples < gate.min_examples:
        wanted = f"{gate.min_examples:,}"
        return [verdict("skipped", f"{head} is not judged: fewer than the {wanted} examples asked for {where}")]
    if row.value is None:
        return [verdict("failed", f"{head} is undefined, so its gate cannot pass: {_undefined(row)} {where}")]
    verdicts = []
    for side in ("lower", "upper"):
        bound = getattr(gate, side)
        if bound is not None:
            status, sentence = _bound_sentence(head, row.value, bound, side)
            verdicts.append(verdict(status, f"{sentence} {where}"))
    if gate.max_drop is not None:
        if row.baseline is not None:
            status, sentence = _drop_sentence(head, gate.metric, row.value, row.baseline, gate.max_drop)
        else:
            baseline_tasks = table.baseline_tasks
            if not baseline_tasks:
                why = "there is no serving model yet"
            elif gate.task not in baseline_tasks:
                why = f"the serving model has no task {gate.task}"
            else:
                why = "it is undefined for the serving model"
            status, sentence = "skipped", f"{head} is not compared: {why}"
        verdicts.append(verdict(status, f"{sentence} {where}"))
    return verdicts


def _absent(gate: Gate, table: MetricsTable, head: str, name: str) -> tuple[Status, str]:
    if gate.task not in table.tasks:
        return "failed", f"{head} was not computed: there is no task {gate.task} among {', '.join(table.tasks)}"
    names = table.slices(gate.task)
    if name not in names:
        feature = name.split("=", 1)[0]
        features = dict.fromkeys(n.split("=", 1)[0] for n in names if n != OVERALL)
        if feature in features:
            return "skipped", f"{head} is not judged: no example in this slice (slice {name}, 0 examples)"
        have = ", ".join(features) or "none"
        return "failed", f"{head} was not computed: {feature} is not a feature that was sliced by ({have})"
    metrics = dict.fromkeys(r.metric for r in table if r.task == gate.task and r.reference is None)
    return "failed", f"{head} was not computed (slice {name}): the metrics there are {', '.join(metrics)}"


def judge_all(gates: Iterable[Gate], table: MetricsTable) -> list[Verdict]:
    """The verdicts of all gates, in their order."""
    return [verdict for gate in gates for verdict in judge(gate, table)]


def task_result(task: str, verdicts: Iterable[Verdict]) -> Literal["pass", "fail", "none"]:
    """"fail" if any verdict on the task failed, "pass" if any passed, else "none"."""
    statuses = {verdict.status for verdict in verdicts if verdict.task == task}
    return "fail" if "failed" in statuses else "pass" if "passed" in statuses else "none"
