"""Labels made from rows of an event log, each within its task's window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipeline.ingest import numpy_operations
from pipeline.ingest.event_matching import Matches, elapsed, match, times
from pipeline.ingest.places import FILE, POSITION
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.expressions import Expression, parse
from pipeline.recipe.parts import Events
from pipeline.recipe.tasks import Task

SOURCE = "\0source"  # beside the tasks in what is counted; \0 keeps it apart from any task of a recipe
KINDS = ("matched", "open_window", "after_window", "before_impression", "without_impression")


class EventLabels:
    """One event source's labels.

    An event belongs to the newest impression with its keys that is not later than itself: last touch. It
    counts for a task where it meets the task's `where` and is earlier than impression + window.

    A window is open where impression + window is later than `complete_until`. Labels are those known at that
    moment: a closed window cannot hold a later event, and in an open one, which `open: negative` labels too,
    later events count nothing, although they are there. So an old day made again with a longer event log gets
    the labels that it had.

    Args:
      source: its part of the recipe.
      tasks: the tasks whose `events.source` this is.

    Attributes:
      columns: the event columns that are needed: keys, time, `unique`, and those that expressions read.
    """

    def __init__(self, source: Events, tasks: Mapping[str, Task]):
        types = {name: column.expression_type for name, column in source.columns.items()}
        self._source, self._tasks = source, tasks
        self._parsed: dict[tuple[str, str], Expression] = {}
        for name, task in tasks.items():
            for field in ("where", "value"):
                if (text := getattr(task.events, field, None)) is not None:
                    self._parsed[name, field] = parse(text, types)
        self._read = set().union(*(expression.columns for expression in self._parsed.values()))
        wanted = {*source.keys, source.time, *source.unique, *self._read}
        self.columns = [name for name in source.columns if name in wanted]

    def __call__(
        self, rows: pa.Table, events: pa.Table | None, time: str, complete_until: int | None
    ) -> tuple[dict[str, pa.Array], dict[str, dict[str, int]]]:
        """Labels of one partition; rows and events with the same keys are in it together.

        Args:
          rows: impressions, with the keys, `time`, and their place in the log, `\\0file` and `\\0position`.
          events: this source's `columns` and their place; None where there are none.
          time: the impressions' column of time, int64 milliseconds.
          complete_until: milliseconds up to which every event has arrived; None where the source has no event
            at all, so that every window is open.

        Returns:
          Task → float64 `[rows]`: 1 or 0 of a binary task, the sum or count of a quantity. It is null where
          the window is open and `open` is mask, and where a key or the time is missing, which no event can
          follow. And task → how many of the events that meet its `where` are of each kind; each is of one:

          - matched: counts in an impression's label;
          - open_window: belongs to an impression whose window is open, and counts in no label: with `mask`
            all of them, with `negative` those later than `complete_until`;
          - after_window: its impression was too long ago;
          - before_impression: all impressions with its keys are later;
          - without_impression: no impression has its keys; or one of them, or its time, is missing.

          Where the source has `unique`, also `SOURCE` → repeats: events dropped because one with the same
          `unique` and keys was there before, by place. An event that lacks one of these is alike none.
        """
        counts: dict[str, dict[str, int]] = {}
        found: Matches | None = None
        values: dict[str, np.ndarray] = {}
        if self._source.unique:
            counts[SOURCE] = {"repeats": 0}
        if events is not None:
            # in the order of their places whatever the order they came in: sums are the same to the last bit
            ordered = events.take(pa.array(np.lexsort((events[POSITION], events[FILE]))))
            if self._source.unique:
                ordered = self._drop_repeats(ordered)
                counts[SOURCE]["repeats"] = len(events) - len(ordered)
            found = match(rows, ordered, self._source.keys, time, self._source.time)
            values = {n: numpy_operations.column_values(ordered[n].combine_chunks()) for n in self._read}
        known = rows[time].is_valid().to_numpy()
        for key in self._source.keys:
            known &= rows[key].is_valid().to_numpy()
        labels = {}
        for name, task in self._tasks.items():
            unknown = ~known
            if task.events.open == "mask":
                unknown |= _open(times(rows, time), milliseconds(task.events.window), complete_until)
            label = np.zeros(len(rows))
            counts[name] = dict.fromkeys(KINDS, 0)
            if found is not None:
                label, counts[name] = self._label(name, found, values, unknown, complete_until)
            labels[name] = pa.array(label, pa.float64(), mask=unknown)
        return labels, counts

    def _label(
        self,
        name: str,
        found: Matches,
        values: Mapping[str, np.ndarray],
        unknown: np.ndarray,
        complete_until: int | None,
    ) -> tuple[np.ndarray, dict[str, int]]:
        task, events = self._tasks[name], len(found.row)
        chosen = np.ones(events, bool)
        if task.events.where is not None:
            chosen = np.broadcast_to(self._parsed[name, "where"].evaluate(values, numpy_operations), events)
        belongs = chosen & (found.row >= 0)
        inside = belongs & (found.after < np.uint64(milliseconds(task.events.window)))
        in_time = np.ones(events, bool) if complete_until is None else found.time <= complete_until
        counted = inside & in_time & np.append(~unknown, False)[found.row]  # the last is −1's
        row = found.row[counted]
        if task.kind == "binary":
            label = np.zeros(len(unknown))
            label[row] = 1.0
        else:
            value = np.ones(events)
            if task.events.value is not None:
                value = np.broadcast_to(
                    self._parsed[name, "value"].evaluate(values, numpy_operations), events
                )
            value = np.nan_to_num(value[counted].astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf)
            label = np.bincount(row, value, minlength=len(unknown))
        kinds = (
            counted,
            inside & ~counted,
            belongs & ~inside,
            chosen & ~belongs & found.has_key,
            chosen & ~belongs & ~found.has_key,
        )
        return label, {kind: int(which.sum()) for kind, which in zip(KINDS, kinds, strict=True)}

    def _drop_repeats(self, events: pa.Table) -> pa.Table:
        identity = list(dict.fromkeys([*self._source.unique, *self._source.keys]))
        whole = np.ones(len(events), bool)
        for name in identity:
            whole &= events[name].is_valid().to_numpy()
        repeats = np.zeros(len(events), bool)
        repeats[whole] = events.select(identity).filter(pa.array(whole)).to_pandas().duplicated().to_numpy()
        return events.filter(pa.array(~repeats))


def _open(shown: np.ndarray, window: int, complete_until: int | None) -> np.ndarray:
    """bool `[rows]`: shown + window > complete_until."""
    if complete_until is None:
        return np.ones(len(shown), bool)
    until = np.int64(complete_until)
    return (shown > until) | (elapsed(shown, until) < np.uint64(window))
