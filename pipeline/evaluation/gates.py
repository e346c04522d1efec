"""Gates: does each task's metric keep its bounds, and how does it compare with the serving model's?

A gate never raises over what a model did: it gives verdicts, one plain sentence each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.evaluation.gate_sentences import (
    Interval,
    Status,
    better_sentence,
    bound_sentence,
    drop_interval_sentence,
    drop_sentence,
)
from pipeline.evaluation.table import OVERALL, MetricRow, MetricsTable
from pipeline.metric_names import COMPARED, DIRECTED, DIRECTIONS, OF_RANKINGS
from pipeline.slice_names import conditions_of, features_of, slice_name


@dataclass(frozen=True)
class Gate:
    """What a task's metric must keep.

    Attributes:
      slice: "feature=value", or "a=1 & b=2" of a cross; None is all rows.
      lower, upper: bounds, included.
      max_drop: how much worse than the serving model it may be, in the metric's own units;
        worse is lower, higher or further from 1 as the metric has it.
      min_examples: with fewer rows of known label the gate is skipped.
      interval: which part of the 95 % interval (for max_drop: of the difference) must keep the bounds; None
        judges by the value alone.
      better: all of the difference's 95 % interval must be on the better side.

    Raises:
      ValueError: if nothing is bounded, a bound is not finite, lower is above upper, max_drop is
        negative, max_drop, better or interval do not fit the metric, or the slice has no "=".
    """

    task: str
    metric: str
    slice: str | None = None
    lower: float | None = None
    upper: float | None = None
    max_drop: float | None = None
    min_examples: int = 0
    interval: Interval | None = None
    better: bool = False

    def __post_init__(self) -> None:
        where = f"gate {self.task}/{self.metric}"
        bounds = {n: getattr(self, n) for n in ("lower", "upper", "max_drop")}
        bounds = {name: bound for name, bound in bounds.items() if bound is not None}
        if not bounds and not self.better:
            raise ValueError(f"{where} bounds nothing: give lower, upper, max_drop or better")
        for name, bound in bounds.items():
            if not math.isfinite(bound):
                raise ValueError(f"{where}: {name} is {bound}; it must be a finite number")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"{where}: lower {self.lower} is above upper {self.upper}; nothing can pass")
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"{where}: max_drop is {self.max_drop}; it must be 0 or more")
        if self.max_drop is not None and self.metric not in COMPARED:
            known = ", ".join(COMPARED)
            raise ValueError(f"{where}: max_drop needs a metric whose better side is known: {known}")
        by_interval = self.better or (self.max_drop is not None and self.interval is not None)
        if by_interval and self.metric not in DIRECTED:
            known = ", ".join(DIRECTED)
            raise ValueError(f"{where}: a difference has an interval with a better side only of {known}")
        if self.interval is not None and not bounds:
            raise ValueError(f"{where}: interval says how lower, upper and max_drop are judged; give one")
        if self.slice is not None and "=" not in self.slice:
            raise ValueError(f"{where}: slice is {self.slice!r}; it must be written feature=value")


@dataclass(frozen=True)
class Verdict:
    """What a gate said.

    Attributes:
      sentence: names task, metric, value, bound and slice.
      gate: which gate of the pipeline spoke: "metrics" for this module's; others (schema, vectors,
        serving check) make verdicts of the same type.
    """

    status: Status
    sentence: str
    task: str | None = None
    metric: str | None = None
    slice: str | None = None
    gate: str = "metrics"


def judge(gate: Gate, table: MetricsTable) -> list[Verdict]:
    """The verdicts of one gate: one for each of lower, upper, max_drop and better it gives.

    A value that cannot be had fails. A comparison is skipped where there is nothing to compare with (no
    serving model yet, or it has no such task), and fails where there is and it could not be done. One that favours
    the model is skipped where it would pass.
    """
    name = slice_name(conditions_of(gate.slice)) if gate.slice else OVERALL
    head = f"{gate.task}: {gate.metric}"

    def verdict(status: Status, sentence: str) -> Verdict:
        return Verdict(status, sentence, gate.task, gate.metric, name)

    row = table.get(gate.task, gate.metric, name)
    if row is None:
        return [verdict(*_absent(gate, table, head, name))]
    where = f"(slice {name}, {_examples(row.examples, gate, table)})"
    if row.examples < gate.min_examples:
        too_few = f"fewer than the {gate.min_examples:,} examples asked for"
        return [verdict("skipped", f"{head} is not judged: {too_few} {where}")]
    if row.value is None:
        why = row.note or "its value is not a number"
        return [verdict("failed", f"{head} is undefined, so its gate cannot pass: {why} {where}")]
    compared = [
        _if_favoured(*found, table.favoured(gate.task)) for found in _comparisons(gate, row, head, table)
    ]
    bounds = [_if_exposed(*found, gate.task in table.exposed) for found in _bounds(gate, row, head)]
    said = [*bounds, *compared]
    return [verdict(status, f"{sentence} {where}") for status, sentence in said]


def _examples(count: int, gate: Gate, table: MetricsTable) -> str:
    span = table.span(gate.task)
    return f"{count:,} examples{f' of {span}' if span else ''}"


def _bounds(gate: Gate, row: MetricRow, head: str) -> Iterator[tuple[Status, str]]:
    for side in ("lower", "upper"):
        bound = getattr(gate, side)
        if bound is None:
            continue
        if gate.interval is None:
            yield bound_sentence(head, row.value, bound, side)
        elif row.low is None:
            yield _no_interval(f"{head} {row.value:,.3f}")
        else:
            yield bound_sentence(head, row.value, bound, side, gate.interval, (row.low, row.high))


def _comparisons(gate: Gate, row: MetricRow, head: str, table: MetricsTable) -> Iterator[tuple[Status, str]]:
    asked = [*(["max_drop"] if gate.max_drop is not None else []), *(["better"] if gate.better else [])]
    difference = None if row.diff_low is None else (row.diff_low, row.diff_high)
    for what in asked:
        if row.baseline is None:
            yield _not_compared(head, table, gate.task)
        elif what == "max_drop" and gate.interval is None:
            yield drop_sentence(head, gate.metric, row.value, row.baseline, gate.max_drop)
        elif difference is None:
            yield _no_interval(f"{head}'s difference to the serving model")
        elif what == "max_drop":
            compared = (head, gate.metric, row.value, row.baseline, gate.max_drop)
            yield drop_interval_sentence(*compared, gate.interval, difference)
        else:
            yield better_sentence(head, gate.metric, row.value, row.baseline, difference)


def _if_exposed(status: Status, sentence: str, exposed: bool) -> tuple[Status, str]:
    """A bound that is kept on rows whose other labels were trained on says so."""
    if exposed and status == "passed":
        return status, f"{sentence}; other labels of these rows were trained on, which flatters it"
    return status, sentence


def _if_favoured(status: Status, sentence: str, favoured: str) -> tuple[Status, str]:
    """A comparison that favours the model can fail it, and not pass it."""
    if favoured and status == "passed":
        return "skipped", f"{sentence}; that is no pass, as {favoured}"
    return status, sentence


def _no_interval(what: str) -> tuple[Status, str]:
    why = "too few draws of the bootstrap have an answer"
    return "failed", f"{what} has no interval, so its gate cannot pass: {why}"


def _not_compared(head: str, table: MetricsTable, task: str) -> tuple[Status, str]:
    missing = table.no_baseline(task)
    if missing is None:
        return "skipped", f"{head} is not compared: it is undefined for the serving model"
    if missing.fault:
        return "failed", f"{head} could not be compared, so its gate cannot pass: {missing.reason}"
    return "skipped", f"{head} is not compared: {missing.reason}"


def _absent(gate: Gate, table: MetricsTable, head: str, name: str) -> tuple[Status, str]:
    if gate.task not in table.tasks:
        have = ", ".join(table.tasks) or "none"
        return "failed", f"{head} was not computed: there is no task {gate.task} among {have}"
    judged = [r for r in table if r.task == gate.task and r.reference is None and r.metric in DIRECTIONS]
    if all(row.value is None for row in judged):  # of a model that gives no numbers there are no slices
        why = next((row.note for row in judged if row.note), "its values are no numbers")
        return "failed", f"{head} is undefined, so its gate cannot pass: {why} (slice {name})"
    if gate.metric in OF_RANKINGS and table.no_baseline(gate.task) is not None:
        status, sentence = _not_compared(head, table, gate.task)
        return status, f"{sentence} (slice {name})"
    # rows without a label are in rankings, and in nothing else
    names = dict.fromkeys(r.slice for r in table if r.task == gate.task and r.metric not in OF_RANKINGS)
    if name not in names:
        feature = " & ".join(features_of(name))
        if feature in table.sliced_by:
            where = f"(slice {name}, {_examples(0, gate, table)})"
            return "skipped", f"{head} is not judged: no example in this slice {where}"
        have = ", ".join(table.sliced_by) or "none"
        return "failed", f"{head} was not computed: {feature} is not a feature that was sliced by ({have})"
    metrics = dict.fromkeys(r.metric for r in table if r.task == gate.task and r.reference is None)
    return "failed", f"{head} was not computed (slice {name}): the metrics there are {', '.join(metrics)}"


def judge_all(gates: Iterable[Gate], table: MetricsTable) -> list[Verdict]:
    """The verdicts of all gates, in their order."""
    return [verdict for gate in gates for verdict in judge(gate, table)]


class Counted(NamedTuple):
    """How many gates said what."""

    passed: int
    failed: int
    skipped: int


def counted(statuses: Iterable[Status]) -> Counted:
    """Counts verdicts of all gates, the schema's and the serving check's too: for terminal and report."""
    found = list(statuses)
    return Counted(*(found.count(status) for status in Counted._fields))


def agreement(verdicts: Iterable[Verdict]) -> str:
    """What gates said together, none of which failed; those that were skipped did not pass."""
    found = counted(verdict.status for verdict in verdicts)
    return (
        f"no gate failed ({found.passed} passed, {found.skipped} skipped)"
        if found.skipped
        else "every gate passed"
    )


def task_result(task: str, verdicts: Iterable[Verdict]) -> Literal["pass", "fail", "none"]:
    """ "fail" if any verdict on the task failed, "pass" if any passed, else "none"."""
    statuses = {verdict.status for verdict in verdicts if verdict.task == task}
    return "fail" if "failed" in statuses else "pass" if "passed" in statuses else "none"
