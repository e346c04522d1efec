"""Gates: does each task's metric keep its bounds, and is it no worse than the serving model's?

A gate never raises over what a model did: it gives verdicts, one plain sentence each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal

from pipeline.evaluation.table import OVERALL, MetricsTable
from pipeline.metric_names import DIRECTIONS
from pipeline.slice_names import conditions_of, features_of, slice_name

Status = Literal["passed", "failed", "skipped"]
Round = Callable[[Decimal], Decimal]
# Digits of any float written out in full, and of a difference of two.
_PRECISION = 700


@dataclass(frozen=True)
class Gate:
    """What a task's metric must keep.

    Attributes:
      slice: "feature=value", or "a=1 & b=2" of a cross; None is all rows.
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
        bounds = {n: getattr(self, n) for n in ("lower", "upper", "max_drop")}
        bounds = {name: bound for name, bound in bounds.items() if bound is not None}
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
            known = ", ".join(DIRECTIONS)
            raise ValueError(f"{where}: max_drop needs a metric whose better side is known: {known}")
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


def _rounding(numbers: Sequence[Decimal], agrees: Callable[[Round], bool]) -> Round:
    """The coarsest rounding, to 3 decimal places or more, under which a sentence stays true.

    Args:
      numbers: those printed; the places of the longest are enough to print all exactly.
      agrees: whether what the sentence says of exact numbers holds of the rounded ones.
    """
    most = max(3, *(-int(x.as_tuple().exponent) for x in numbers))
    for places in range(3, most + 1):
        unit = Decimal(1).scaleb(-places)
        if agrees(lambda x: x.quantize(unit)):  # noqa: B023, called at once
            break
    return lambda x: x.quantize(unit)


def _bound_sentence(
    head: str, value: float, bound: float, side: Literal["lower", "upper"]
) -> tuple[Status, str]:
    v, b = _exact(value), _exact(bound)
    rounded = _rounding((v, b), lambda to: to(v).compare(to(b)) == v.compare(b))
    if v == b:
        return "passed", f"{head} {rounded(v):,f} is exactly the {side} bound"
    outside = v < b if side == "lower" else v > b
    word, kind = ("below" if v < b else "above"), ("bound" if outside else f"{side} bound")
    gap = abs(rounded(v) - rounded(b))
    sentence = f"{head} {rounded(v):,f} is {word} the {kind} {rounded(b):,f} by {gap:,f}"
    return ("failed" if outside else "passed"), sentence


def _drop_sentence(
    head: str, metric: str, value: float, baseline: float, max_drop: float
) -> tuple[Status, str]:
    v, b, allowed = _exact(value), _exact(baseline), _exact(max_drop)
    # Smaller is better, so that one arithmetic serves every direction.
    badness = {1: lambda x: -x, -1: lambda x: x, 0: lambda x: abs(x - 1)}[DIRECTIONS[metric]]
    drop = badness(v) - badness(b)

    def agrees(to: Round) -> bool:
        printed = badness(to(v)) - badness(to(b))
        return printed.compare(to(allowed)) == drop.compare(allowed) and printed.compare(0) == drop.compare(0)

    rounded = _rounding((v, b, allowed), agrees)
    gap = abs(badness(rounded(v)) - badness(rounded(b)))
    theirs = f"the serving model's {rounded(b):,f}"
    if drop == 0:
        compared = f"is as good as {theirs}"
    elif DIRECTIONS[metric]:
        compared = f"is {'below' if v < b else 'above'} {theirs} by {gap:,f}"
    else:
        compared = f"is {'further from' if drop > 0 else 'closer to'} 1 than {theirs} by {gap:,f}"
    if drop > allowed:
        compared += f", more than the {rounded(allowed):,f} allowed"
    elif drop > 0:
        compared += f", within the {rounded(allowed):,f} allowed"
    elif drop < 0:
        compared += ", which is better"
    return ("failed" if drop > allowed else "passed"), f"{head} {rounded(v):,f} {compared}"


def judge(gate: Gate, table: MetricsTable) -> list[Verdict]:
    """The verdicts of one gate: one for each of lower, upper and max_drop it gives."""
    with localcontext(prec=_PRECISION):
        return _judge(gate, table)


def _judge(gate: Gate, table: MetricsTable) -> list[Verdict]:
    name = slice_name(conditions_of(gate.slice)) if gate.slice else OVERALL
    head = f"{gate.task}: {gate.metric}"

    def verdict(status: Status, sentence: str) -> Verdict:
        return Verdict(status, sentence, gate.task, gate.metric, name)

    row = table.get(gate.task, gate.metric, name)
    if row is None:
        return [verdict(*_absent(gate, table, head, name))]
    where = f"(slice {name}, {row.examples:,} examples)"
    if row.examples < gate.min_examples:
        too_few = f"fewer than the {gate.min_examples:,} examples asked for"
        return [verdict("skipped", f"{head} is not judged: {too_few} {where}")]
    if row.value is None:
        why = row.note or "its value is not a number"
        return [verdict("failed", f"{head} is undefined, so its gate cannot pass: {why} {where}")]
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
        have = ", ".join(table.tasks) or "none"
        return "failed", f"{head} was not computed: there is no task {gate.task} among {have}"
    names = table.slices(gate.task)
    if name not in names:
        feature = " & ".join(features_of(name))
        features = dict.fromkeys(" & ".join(features_of(n)) for n in names if n != OVERALL)
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
    """ "fail" if any verdict on the task failed, "pass" if any passed, else "none"."""
    statuses = {verdict.status for verdict in verdicts if verdict.task == task}
    return "fail" if "failed" in statuses else "pass" if "passed" in statuses else "none"
