"""The index over all runs below a folder: one HTML file beside them that needs no network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.metric_names import DIRECTIONS
from pipeline.report.charts import history_chart
from pipeline.report.history import PastRun, Recommender
from pipeline.report.page import environment
from pipeline.report.words import headline_of, meaning, metric_name
from pipeline.report.write import replace

INDEX = "index.html"
_RUNS_DRAWN = 60


def write_index(folder: Path, found: list[Recommender]) -> Path:
    """Writes `index.html` into a folder; it links to the runs' own pages, which stay where they are."""
    path = folder / INDEX
    replace(path, render_index(folder, found))
    return path


def render_index(folder: Path, found: list[Recommender]) -> str:
    """The index.

    Args:
      folder: that the page will lie in.
      found: what lies below it.
    """
    shown = [_view(folder, of) for of in found]
    used = dict.fromkeys(metric for of in shown for metric in of["metrics"])
    return (
        environment()
        .get_template("index.html")
        .render(
            title=folder.resolve().name,
            recommenders=shown,
            terms=[(metric_name(m), meaning(m)) for m in DIRECTIONS if m in used],
        )
    )


def _view(folder: Path, of: Recommender) -> dict[str, Any]:
    runs = [_row(folder, run) for run in of.runs]
    drawn = of.measured[-_RUNS_DRAWN:]
    first = len(of.measured) - len(drawn)
    names = [run.name for run in drawn]
    pushed = [run.content["status"] == "pushed" for run in drawn]  # type: ignore[index]
    charts: dict[str, list] = {}
    for (task, metric), points in of.series().items():
        kept = [(place - first, value, ends) for place, value, ends in points if place >= first]
        chart = history_chart(task, names, kept, pushed)
        if chart:
            charts.setdefault(metric, []).append(chart)
    newest = of.measured[-1].content if of.measured else None
    told = {
        (task, headline_of(t["kind"], t["metrics"])) for task, t in (newest or {"tasks": {}})["tasks"].items()
    }
    metrics = [metric for metric in DIRECTIONS if metric in charts]
    return {
        "name": of.name,
        "runs": runs[::-1],
        "strip": runs[-_RUNS_DRAWN:],
        "evaluations": [_row(folder, run) for run in of.evaluations][::-1],
        "metrics": {metric: metric_name(metric) for metric in metrics},
        "charts": [
            (metric, chart, (chart.title, metric) in told) for metric in metrics for chart in charts[metric]
        ],
        "left_out": first,
        "serving": next((row for row in runs[::-1] if row["status"] == "pushed"), None),
    }


def _row(folder: Path, run: PastRun) -> dict[str, Any]:
    link = quote(os.path.relpath(run.folder / "report" / "index.html", folder).replace(os.sep, "/"))
    if run.content is None:
        unknown = {"told": [], "seconds": None, "version": None, "span": None}
        return {"name": run.name, "link": link, "status": "unreadable", "said": run.problem, **unknown}
    content = run.content
    told = []
    for task, of in content["tasks"].items():
        metric = headline_of(of["kind"], of["metrics"])
        if metric and of["metrics"][metric] is not None:
            told.append((task, metric_name(metric), of["metrics"][metric], of["intervals"].get(metric)))
    return {
        "name": run.name,
        "link": link,
        "status": content["status"],
        "said": content["reason"],
        "told": told,
        "seconds": content["seconds"]["total"],
        "version": Path(content["pushed"]).name if content["pushed"] else None,
        "span": _span(content),
    }


def _span(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The span that a run was of: its name, which others it trained on, and which of these it ingested again,
    as their data had changed."""
    of = content.get("span")
    if not of:
        return None
    names = [span["name"] for span in of["spans"] if span["name"] != of["name"]]
    trained = names if content["training"] else []
    return {
        "name": of["name"],
        "trained": f"{trained[0]} to {trained[-1]}" if len(trained) > 1 else "".join(trained),
        "again": ", ".join(span["name"] for span in of["spans"] if span["ingested"] and span["version"] > 1),
    }
