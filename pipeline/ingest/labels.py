"""Label, mask and weight of each task, and the scores of others that tasks are measured beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest import numpy_operations
from pipeline.ingest.batch import Batch, Problem
from pipeline.recipe.expressions import Expression, parse
from pipeline.recipe.tasks import CLASS_KINDS, Task


class Labels:
    """Evaluates the tasks' expressions on batches.

    A label exists (mask 1) where its expression is not missing and `where` is true. The label of a task that
    is made from events is the column `event/<task>`; that of a multiclass or ordinal task is the place of its
    value in `classes`. Elsewhere label and weight are 0. The weight is mask × `weight`, or the mask; where it is missing because the label of another task
    that it reads is not known yet, neither is this task's.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        references: Mapping[str, Mapping[str, str]],
        types: Mapping[str, str],
        event_tasks: Collection[str] = (),
    ):
        """Args:
        tasks: those to make labels of.
        references: task → name → expression; any tasks.
        types: column → its type inside an expression.
        event_tasks: the tasks whose labels are made from events, which conditions may read too.

        Attributes:
          columns: the columns that any expression reads.
          events: the tasks made from events whose labels are made or read here.
        """
        self._tasks = tasks
        types = {**dict.fromkeys(event_tasks, "int"), **types}
        self._parsed: dict[tuple[str, str], Expression] = {}
        for name, task in tasks.items():
            for field in ("label", "where", "weight"):
                if (text := getattr(task, field)) is not None:
                    self._parsed[name, field] = parse(text, types)
        self._references = {
            (task, name): parse(text, types)
            for task, named in references.items()
            for name, text in named.items()
        }
        every = [*self._parsed.values(), *self._references.values()]
        read = set().union(*(e.columns for e in every))
        self.columns = read - set(event_tasks)
        self.events = read & set(event_tasks) | {n for n, t in tasks.items() if t.events is not None}

    def __call__(self, batch: Batch) -> None:
        """Adds `<task>/label`, `/mask`, `/weight` and `/reference/<name>`, float32 `[rows]`, to the batch's
        columns.

        A binary label other than 0 and 1 makes a row dead, and so does a label that is no class of its task,
        one that is beyond float32, one below 0 where the loss takes none, and a weight that is missing, infinite or negative.
        """
        values = {n: numpy_operations.column_values(batch.columns[n]) for n in self.columns}
        values |= {n: numpy_operations.column_values(batch.columns[event_column(n)]) for n in self.events}
        rows = len(batch.positions)
        for name, task in self._tasks.items():
            label = self._evaluate(name, "label", values, rows) if task.events is None else values[name]
            given = label
            label = class_codes(label, task.classes) if task.kind in CLASS_KINDS else label.astype(np.float64)
            with np.errstate(over="ignore"):
                fits = np.isfinite(label.astype(np.float32))
            mask = np.isfinite(label)
            if task.where is not None:
                mask &= self._evaluate(name, "where", values, rows).astype(bool)
            self._flag(
                batch,
                f"{name}: label is beyond float32",
                mask & ~fits,
                label,
                f"the label of {name} is {{}}; labels are float32, to 3.4e38",
            )
            mask &= fits
            if task.kind == "binary":
                self._flag(
                    batch,
                    f"{name}: label is neither 0 nor 1",
                    mask & (label != 0) & (label != 1),
                    label,
                    f"the label of {name} is {{}}, neither 0 nor 1",
                )
            if task.kind in CLASS_KINDS:
                batch.flag(
                    np.flatnonzero(mask & (label < 0)),
                    lambda row, name=name, given=given: Problem(
                        f"{name}: label is not one of its classes",
                        f"the label of {name} is {_shown(given[row])}, not one of its classes",
                    ),
                )
            if task.kind == "regression" and task.from_zero:
                self._flag(
                    batch,
                    f"{name}: label is below 0",
                    mask & (label < 0),
                    label,
                    f"the label of {name} is {{}}; with loss {task.loss} it must be a number from 0",
                )
            weight = mask.astype(np.float64)
            if task.weight is not None:
                weight = self._evaluate(name, "weight", values, rows)
                for read in self._parsed[name, "weight"].columns & self.events:
                    mask &= ~(np.isnan(weight) & np.isnan(values[read]))
                weight = np.where(mask, weight, 0.0)
                with np.errstate(over="ignore"):
                    wrong = ~np.isfinite(weight.astype(np.float32)) | (weight < 0)
                self._flag(
                    batch,
                    f"{name}: weight is not a number from 0",
                    wrong,
                    weight,
                    f"the weight of {name} is {{}}; it must be a number from 0",
                )
            for field, found in (("label", np.where(mask, label, 0.0)), ("mask", mask), ("weight", weight)):
                with np.errstate(over="ignore"):
                    batch.columns[f"{name}/{field}"] = pa.array(found.astype(np.float32))
        for (name, reference), expression in self._references.items():
            found = np.broadcast_to(expression.evaluate(values, numpy_operations), rows)
            batch.columns[f"{name}/reference/{reference}"] = pa.array(found.astype(np.float32))

    def _evaluate(self, task: str, field: str, values: Mapping[str, Any], rows: int) -> np.ndarray:
        return np.broadcast_to(self._parsed[task, field].evaluate(values, numpy_operations), rows)

    @staticmethod
    def _flag(batch: Batch, kind: str, wrong: np.ndarray, values: np.ndarray, reason: str) -> None:
        batch.flag(
            np.flatnonzero(wrong),
            lambda row: Problem(
                kind, reason.format("missing" if np.isnan(values[row]) else f"{values[row]:g}")
            ),
        )


def class_codes(label: np.ndarray, classes: Sequence[int] | Sequence[str]) -> np.ndarray:
    """Labels as places in `classes`: float64, NaN where the label is missing, -1 where it is none of them."""
    texts = isinstance(classes[0], str)
    missing = label == "" if texts else np.isnan(label.astype(np.float64))
    kind = pa.string() if texts else pa.float64()
    codes = pc.index_in(pa.array(label, kind, from_pandas=False), value_set=pa.array(classes, kind))
    codes = codes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(missing, np.nan, codes)


def _shown(value: str | float) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}"


def event_column(task: str) -> str:
    """The column that holds what events say of a task, null where its window is open."""
    return f"event/{task}"
