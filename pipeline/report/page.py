"""The report's page: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

from pipeline.report import charts, numbers, view


def _environment() -> jinja2.Environment:
    # Names of tasks, feature values and error messages are others' words: everything is escaped.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "metric": numbers.metric_text,
        "difference": numbers.difference_text,
        "count": numbers.count_text,
        "seconds": numbers.seconds_text,
    }
    environment.globals |= {
        "share": numbers.share_text,
        "plot": charts,
    }
    return environment


def render_page(metrics: Mapping[str, Any], recipe_text: str | None = None) -> str:
    """The page of a run.

    Args:
      metrics: the content of metrics.json.
      recipe_text: the resolved recipe, shown folded.
    """
    failed_first = {"failed": 0, "skipped": 1, "passed": 2}
    steps = {step: s for step, s in metrics["seconds"].items() if step != "total"}
    return (
        _environment()
        .get_template("page.html")
        .render(
            run=metrics,
            headline=view.HEADLINES[metrics["status"]],
            tasks=view.task_rows(metrics),
            auc_chart=view.auc_chart(metrics),
            slice_tables=view.slice_tables(metrics),
            gates=sorted(metrics["gates"], key=lambda gate: failed_first[gate["status"]]),
            training=view.training_view(metrics["training"]),
            tuning=metrics.get("tuning"),
            steps=steps,
            longest=max(steps.values(), default=0.0),
            recipe_text=recipe_text,
        )
    )
