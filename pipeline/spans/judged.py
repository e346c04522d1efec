"""Which span each task of a run is judged on.

It is the run's own, but for tasks whose labels come later than the run: these are judged on the newest span
whose labels are there, and are trained as the run of that span would train them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.ingest.counts import Counts
from pipeline.recipe import Recipe
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.expressions import parse
from pipeline.spans.calendar import Calendar


@dataclass(frozen=True)
class Judged:
    """Where a task of a run is judged.

    Attributes:
      span: whose rows it is judged on; "" where on none.
      unseen: the first span of whose labels the model of this run has learned nothing; the run's own where
        nothing is held out.
      why: why it is judged on none, and what to do; else "".
    """

    span: str
    unseen: str
    why: str = ""

    def facts(self) -> dict[str, Any]:
        """For the report, and for the runs to come."""
        return asdict(self)


def judged_tasks(
    recipe: Recipe, spans: Mapping[str, Counts], base: Mapping[str, str] | None = None
) -> dict[str, Judged]:
    """Where each task is judged.

    A span is closed for a task once the windows of half of its rows are over. A task is judged on the newest
    closed span, if one before it leaves labels to train on.

    Args:
      recipe: with `spans`.
      spans: name → what was counted of it; those that are trained on, in order, and the run's own.
      base: of the model that training begins from, task → its `unseen`; None where it begins from none.
    """
    names = list(spans)
    own = names[-1]
    found = {}
    for task, waits in _waits(recipe).items():
        closed = next((n for n in reversed(names) if _closed(spans[n], waits)), "")
        learned_until = base[task] if base else ""
        if closed == own:
            found[task] = Judged(own, own)
        elif not closed:
            found[task] = Judged("", own, _none_closed(recipe, task, waits, names))
        elif base is None and not _left(task, closed, spans):
            why = f"{closed} is the first with labels, and is trained on; {_remedy(recipe, waits, names)}"
            found[task] = Judged("", own, why)
        elif closed < learned_until:
            why = (
                f"of {closed}, the newest with labels, the model that this run begins from may have learned "
                f"them: it is judged once {learned_until} has labels, or if it trains from nothing "
                "(training.warm_start=null)"
            )
            found[task] = Judged("", learned_until, why)
        else:
            found[task] = Judged(closed, closed)
    return found


def _waits(recipe: Recipe) -> dict[str, set[str]]:
    """Task → the tasks of events that its label waits for: itself, and those that its expressions name."""
    late = {name for name, task in recipe.tasks.items() if task.events is not None}
    types = {**dict.fromkeys(late, "int"), **recipe.column_types}
    found = {}
    for name, task in recipe.tasks.items():
        texts = [text for text in (task.label, task.where, task.weight) if text is not None]
        read = set().union(*(parse(text, types).columns for text in texts)) if texts else set()
        found[name] = {n for n in read & late if n not in recipe.columns} | ({name} & late)
    return found


def _closed(counts: Counts, waits: Collection[str]) -> bool:
    rows = counts.rows_written
    return rows > 0 and all(2 * counts.open_windows.get(task, 0) <= rows for task in waits)


def _left(task: str, closed: str, spans: Mapping[str, Counts]) -> bool:
    """Whether the spans before the one that is judged have a label of the task to train on: the tail of the
    last of them is the task's validation."""
    before = [counts.known[task] for name, counts in spans.items() if name < closed]
    return bool(before) and sum(k["train"] + k["validation"] for k in before) > before[-1]["validation"]


def _none_closed(recipe: Recipe, task: str, waits: Collection[str], names: list[str]) -> str:
    longest = max((recipe.tasks[t].events for t in waits), key=lambda events: milliseconds(events.window))
    of = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return (
        f"half of the rows of no span of {of} have their labels yet, which come {longest.window} later; "
        f"{_remedy(recipe, waits, names)}"
    )


def _remedy(recipe: Recipe, waits: Collection[str], names: list[str]) -> str:
    """The newest span with labels is `lag` before the run's, and another before that is trained on."""
    calendar = Calendar.of(recipe.spans)
    events = [recipe.tasks[task].events for task in waits]
    lag = max(-(-milliseconds(of.window) // calendar.length) for of in events)
    if recipe.spans.window < lag + 1:
        return f"give spans.window {lag + 1} or more"
    first = calendar.number(names[0]) + 1 + lag
    if calendar.number(names[-1]) < first:
        return f"the run of {calendar.name(first)} is the first that can judge it"
    sources = ", ".join(sorted({of.source for of in events}))
    return f"look at when the events of {sources} end (complete_until, or the newest of them)"
