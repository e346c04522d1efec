"""What the page shows of tasks, reliability and steps, from metrics.json."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.metric_names import DIRECTIONS, GROUPED, WITHIN_REQUESTS
from pipeline.report.charts import ReliabilityChart, reliability_chart, spans
from pipeline.report.sentences import compare
from pipeline.report.words import RANKING, headline_of

_SCORES = {"prediction": "new model", "baseline": "serving model"}


def metric_row(task: Mapping[str, Any], metric: str, references: Mapping[str, Mapping]) -> dict[str, Any]:
    """One metric of a task beside the serving model and the references."""
    value, baseline = task["metrics"][metric], (task["baseline"] or {}).get(metric)
    known = value is not None and baseline is not None
    interval = task["differences"].get(metric)
    return {
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


def task_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry a task: its quality metrics as `rows` and, by what they are over, `groups`; the one it is
    told by as `headline`, with `span` where that and its references, or its difference to the serving model,
    lie on the scale of all tasks of that metric."""
    tasks = []
    for name, task in metrics["tasks"].items():
        references = metrics["references"].get(name, {})
        rows = [metric_row(task, metric, references) for metric in DIRECTIONS if metric in task["metrics"]]
        told = headline_of(task["kind"], task["metrics"])
        headline = next((row for row in rows if row["metric"] == told), None)
        failed = [g for g in metrics["gates"] if g["task"] == name and g["status"] == "failed"]
        ordered = [r for r in rows if r["metric"] in (*GROUPED, *WITHIN_REQUESTS)]
        whole = [r for r in rows if r not in ordered]
        groups = [("Over all rows", whole), ("Within users and requests", ordered)]
        tasks.append(
            {
                "name": name,
                **task,
                "rows": rows,
                "groups": [(title, of) for title, of in groups if of],
                "headline": headline,
                "failed": failed,
            }
        )
    alike = defaultdict(list)
    for task in tasks:
        if task["headline"]:
            alike[task["headline"]["metric"], task["headline"]["difference"] is None].append(task["headline"])
    for (_, alone), rows in alike.items():
        if alone:
            shown = [{"value": r["value"], "interval": r["interval"], "marks": r["references"]} for r in rows]
        else:
            shown = [
                {
                    "value": r["difference"],
                    "interval": r["difference_interval"],
                    "marks": {"no difference": 0.0},
                }
                for r in rows
            ]
        for row, span in zip(rows, spans(shown, () if alone else (0.0,)), strict=True):
            row["span"] = span
    return tasks


def ranking_rows(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Metrics of rankings: a row a task, a cell a metric; None where there are none."""
    found = {t["name"]: {r["metric"]: r for r in t["rows"] if r["metric"] in RANKING} for t in tasks}
    found = {name: rows for name, rows in found.items() if rows}
    columns = [m for m in RANKING if any(m in rows for rows in found.values())]
    rows = [{"name": n, "cells": [of.get(m) for m in columns]} for n, of in found.items()]
    return {"columns": columns, "rows": rows} if rows else None


def reliability_charts(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry a task that predicts probabilities: its chart, ECE and calibration.

    A score other than the model's and the serving model's (such as one before calibration) is drawn under its
    own name."""
    curves: dict[str, dict[str, list]] = {}
    for row in metrics["reliability"]:
        name = _SCORES.get(row["score"], row["score"])
        curves.setdefault(row["task"], {}).setdefault(name, []).append(row)
    found = []
    for task, scores in curves.items():
        chart: ReliabilityChart | None = reliability_chart(task, scores)
        if chart:
            of = metrics["tasks"].get(task)
            wanted = ("ece", "calibration") if of else ()
            rows = [metric_row(of, m, {}) for m in wanted if m in of["metrics"]]
            found.append({"task": task, "chart": chart, "rows": rows})
    return found


def calibration_rows(training: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What was fitted on validation to calibrate each task, where the history says it: `method`, `parameters`
    {name: number}, `rows`, `problem`, and `changes`, (metric, before, after) on the rows it was fitted on."""
    rows = []
    for task, of in ((training or {}).get("calibration") or {}).items():
        measured = of.get("validation") or {}
        before, after = measured.get("before") or {}, measured.get("after") or {}
        rows.append(
            {
                "task": task,
                "method": of.get("method"),
                "parameters": of.get("parameters") or {},
                "rows": of.get("rows"),
                "problem": of.get("problem"),
                "changes": [(m, before[m], after[m]) for m in before if m in after],
            }
        )
    return rows


def step_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps with their seconds and most memory, each also as a share of the largest."""
    seconds = {step: s for step, s in metrics["seconds"].items() if step != "total"}
    memory = metrics["memory"]
    longest, most = max(seconds.values(), default=0) or 1, max(memory.values(), default=0) or 1
    return [
        {
            "step": step,
            "seconds": s,
            "share": 100 * s / longest,
            "memory": memory.get(step),
            "memory_share": 100 * memory.get(step, 0) / most,
            "cached": step in metrics["cached"],
        }
        for step, s in seconds.items()
    ]
