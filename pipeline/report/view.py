"""What the page shows, from metrics.json: the choices of metrics, words and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.metric_names import DIRECTIONS
from pipeline.report.charts import IntervalChart, LineChart, interval_chart, line_chart
from pipeline.slice_names import conditions_of

HEADLINES = {
    "pushed": "Blessed and pushed",
    "refused": "Refused by a gate",
    "failed": "Failed",
    "unchanged": "Unchanged, nothing to push",
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


def task_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry a task with its quality metrics, serving model and references beside."""
    tasks = []
    for name, task in metrics["tasks"].items():
        references = metrics["references"].get(name, {})
        rows = []
        for metric in DIRECTIONS:
            if metric not in task["metrics"]:
                continue
            value, baseline = task["metrics"][metric], (task["baseline"] or {}).get(metric)
            known = value is not None and baseline is not None
            interval = task["differences"].get(metric)
            rows.append(
                {
                    "metric": metric,
                    "value": value,
                    "interval": task["intervals"].get(metric),
                    "baseline": baseline,
                    "difference": value - baseline if known else None,
                    "difference_interval": interval,
                    "verdict": compare(metric, value, baseline, interval),
                    "references": {w: v[metric] for w, v in references.items() if v.get(metric) is not None},
                    "note": task["notes"].get(metric),
                }
            )
        tasks.append({"name": name, **task, "rows": rows})
    return tasks


def auc_chart(metrics: Mapping[str, Any]) -> IntervalChart | None:
    """AUC of every binary task on one scale."""
    tasks = {}
    for name, task in metrics["tasks"].items():
        if "auc" in task["metrics"]:
            low, high = task["intervals"].get("auc", (None, None))
            references = metrics["references"].get(name, {})
            tasks[name] = {
                "value": task["metrics"]["auc"],
                "low": low,
                "high": high,
                "baseline": (task["baseline"] or {}).get("auc"),
                "references": {who: values["auc"] for who, values in references.items() if "auc" in values},
            }
    return interval_chart("AUC by task", tasks, "AUC")


def slice_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table a task: a row a slice, a column a quality metric."""
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for row in metrics["slices"]:
        if row["metric"] in DIRECTIONS:
            known = row["value"] is not None and row["baseline"] is not None
            interval = None if row["diff_low"] is None else (row["diff_low"], row["diff_high"])
            cells.setdefault(row["task"], {}).setdefault(row["slice"], {})[row["metric"]] = row | {
                "difference": row["value"] - row["baseline"] if known else None,
                "verdict": compare(row["metric"], row["value"], row["baseline"], interval),
            }
    tables = []
    for task, slices in cells.items():
        columns = [m for m in DIRECTIONS if any(m in by_metric for by_metric in slices.values())]
        rows = []
        for name, by_metric in slices.items():
            entries = [by_metric.get(metric) for metric in columns]
            conditions = conditions_of(name)
            feature, value = (" & ".join(part) for part in zip(*conditions, strict=True))
            examples = next(entry["examples"] for entry in entries if entry)
            rows.append({"feature": feature, "value": value, "examples": examples, "cells": entries})
        tables.append({"task": task, "columns": columns, "rows": rows})
    return tables


def _over_epochs(epochs: Sequence[Mapping], *keys: str) -> list[float | None]:
    values = []
    for epoch in epochs:
        value: Any = epoch
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        values.append(value if isinstance(value, (int, float)) else None)
    return values


def _names(epochs: Sequence[Mapping], key: str) -> list[str]:
    return list(dict.fromkeys(name for epoch in epochs for name in epoch.get(key) or {}))


def training_view(training: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Charts of the training: losses, validation metrics, task weights, objective; and gate use.

    Parts that the history lacks are left out; None where there is no epoch.
    """
    epochs = (training or {}).get("epochs") or []
    if not epochs:
        return None
    numbers = [epoch.get("epoch", i + 1) for i, epoch in enumerate(epochs)]
    best = training.get("best_epoch")
    tasks = [name for name in _names(epochs, "losses") if name != "total"]
    colors = {name: i % 8 for i, name in enumerate(tasks)}

    def chart(title: str, series: Mapping[str, Sequence[float | None]]) -> LineChart | None:
        return line_chart(title, numbers, series, best, colors)

    losses = [chart(f"{t}: training loss", {t: _over_epochs(epochs, "losses", t)}) for t in tasks]
    validation = []
    for task in _names(epochs, "validation"):
        metrics = dict.fromkeys(m for e in epochs for m in (e.get("validation") or {}).get(task) or {})
        shown = [m for m in ("auc", "gauc", "quadratic_kappa", "mae") if m in metrics] or list(metrics)[:1]
        for metric in shown:
            values = _over_epochs(epochs, "validation", task, metric)
            drawn = line_chart(f"{task}: validation {metric}", numbers, {task: values}, best, colors)
            validation.append(drawn)
    weights = {task: _over_epochs(epochs, "task_weights", task) for task in _names(epochs, "task_weights")}
    overall = [
        chart("Objective (what the epoch is chosen by)", {"objective": _over_epochs(epochs, "objective")}),
        chart("Task weights", weights) if weights else None,
        chart("Learning rate", {"learning rate": _over_epochs(epochs, "learning_rate")}),
    ]
    chosen = next((e for e, n in zip(epochs, numbers, strict=True) if n == best), epochs[-1])
    return {
        "objective": training.get("objective"),
        "best_epoch": best,
        "epochs": len(epochs),
        "seconds": sum(v for v in _over_epochs(epochs, "seconds") if v is not None) or None,
        "overall": [c for c in overall if c],
        "losses": [c for c in losses if c],
        "validation": [c for c in validation if c],
        "gates": _gate_tables(chosen.get("gate_use") or chosen.get("gates") or {}),
        "gates_epoch": chosen.get("epoch"),
        "alarms": chosen.get("alarms") or [],
        "inside": _inside(epochs, chart),
    }


def _inside(epochs: Sequence[Mapping], chart: Any) -> list[LineChart]:
    """Charts of what gradients and gates do: a line a task, pair of tasks, or gate."""
    gradients = [epoch.get("gradients") or {} for epoch in epochs]
    norms = {t: _over_epochs(gradients, "norms", t) for t in _names(gradients, "norms")}
    cosines = {p: _over_epochs(gradients, "cosines", p) for p in _names(gradients, "cosines")}
    entropies = {g: _over_epochs(epochs, "gates", g, "entropy") for g in _names(epochs, "gates")}
    drawn = [
        chart("Gradient norms", norms),
        chart("Gradient cosines (below 0: tasks in conflict)", cosines),
        chart("Gate entropy (1: all experts alike, 0: one a row)", entropies),
    ]
    return [c for c in drawn if c]


def _gate_tables(gate_use: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Gates that mix the same experts share a table (a level of PLE, or the whole of MMoE)."""
    tables: dict[tuple[str, ...], dict[str, Any]] = {}
    experts_seen: dict[frozenset, tuple[str, ...]] = {}
    for gate, use in gate_use.items():
        experts = experts_seen.setdefault(frozenset(use), tuple(use))
        table = tables.setdefault(experts, {"experts": list(experts), "rows": []})
        table["rows"].append({"gate": gate, "use": [use[expert] for expert in experts]})
    return list(tables.values())
