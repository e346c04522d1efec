"""Slices as the page's script reads them: columns of numbers, so that many tasks and slices stay small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.metric_names import DIRECTIONS
from pipeline.report.words import headline_of, metric_name
from pipeline.slice_names import conditions_of

_NUMBERS = ("value", "low", "high", "baseline", "diff_low", "diff_high")


def _short(value: float | None) -> float | None:
    """Six significant digits: more than any interval supports."""
    return None if value is None else float(f"{value:.6g}")


def _feature(name: str) -> tuple[str, str]:
    parts = zip(*conditions_of(name), strict=True)
    feature, value = (" & ".join(part) for part in parts)
    return feature, value


def slices_data(metrics: Mapping[str, Any], k: int | None = None) -> dict[str, Any] | None:
    """Everything that the table of slices shows.

    Returns:
      None where there are no slices, else `metrics` {METRIC: [name, direction]}, `tasks` {TASK: {headline,
      overall {METRIC: value}, slices [[feature, value, examples]], cells {METRIC: [numbers, a note or 0]}}};
      numbers are value, low, high, baseline, diff_low and diff_high, nulls at the end left out; 0 is of a
      metric that the slice does not have.
    """
    tasks: dict[str, dict[str, Any]] = {}
    places: dict[tuple[str, str], int] = {}
    for row in metrics["slices"]:
        if row["metric"] not in DIRECTIONS:
            continue
        task = tasks.setdefault(row["task"], {"slices": [], "cells": {}})
        at = places.setdefault((row["task"], row["slice"]), len(task["slices"]))
        if at == len(task["slices"]):
            task["slices"].append([*_feature(row["slice"]), row["examples"]])
        cells = task["cells"].setdefault(row["metric"], [])
        cells += [0] * (at + 1 - len(cells))
        cells[at] = row["note"] or "" if row["value"] is None else _numbers(row)
    if not tasks:
        return None
    for name, task in tasks.items():
        of = metrics["tasks"].get(name) or {}
        known = of.get("metrics") or {}
        task["headline"] = headline_of(of.get("kind", ""), task["cells"])
        task["overall"] = {m: _short(known[m]) for m in task["cells"] if known.get(m) is not None}
        task["cells"] = {m: task["cells"][m] for m in DIRECTIONS if m in task["cells"]}
    names = [m for m in DIRECTIONS if any(m in task["cells"] for task in tasks.values())]
    return {"metrics": {m: [metric_name(m, k), DIRECTIONS[m]] for m in names}, "tasks": tasks}


def _numbers(row: Mapping[str, Any]) -> list[float | None]:
    numbers = [_short(row[name]) for name in _NUMBERS]
    while numbers[-1] is None:
        numbers.pop()
    return numbers
