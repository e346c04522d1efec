"""The report's page: one HTML file that needs no network, and says so to the browser too."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jinja2
import markupsafe
import yaml

from pipeline.evaluation.gates import counted
from pipeline.metric_names import DIRECTIONS
from pipeline.report import charts, numbers, sentences, vectors_view, view, words
from pipeline.report.slices_view import slices_data
from pipeline.report.training_view import training_view

_TEMPLATES = jinja2.PackageLoader("pipeline.report", "templates")
_SECTIONS = {
    "tasks": "Tasks",
    "gates": "Gates",
    "reliability": "Reliability",
    "slices": "Slices",
    "ranking": "Ranking",
    "vectors": "Vectors",
    "staleness": "Staleness",
    "training": "Training",
    "data": "Data",
    "time": "Time, memory, versions",
    "words": "Words",
}


def environment(k: int | None = None) -> jinja2.Environment:
    """The templates of both pages.

    Args:
      k: of NDCG and recall, where it is known.
    """

    def term(metric: str) -> markupsafe.Markup:
        """A metric's name that explains itself where it is pointed at."""
        meant = words.meaning(metric, k)
        shown = words.metric_name(metric, k)
        if not meant:
            return markupsafe.escape(shown)
        return markupsafe.Markup('<abbr tabindex="0" data-tip="{}">{}</abbr>').format(meant, shown)

    # Names of tasks, feature values and error messages are others' words: everything is escaped.
    made = jinja2.Environment(
        loader=_TEMPLATES,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "metric": numbers.metric_text,
        "interval": numbers.interval_text,
        "difference": numbers.difference_text,
        "difference_interval": numbers.difference_interval_text,
        "count": numbers.count_text,
        "seconds": numbers.seconds_text,
        "bytes": numbers.bytes_text,
    }
    script = _source("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made.globals |= {
        "share": numbers.share_text,
        "plot": charts,
        "vector_map": vectors_view,
        "term": term,
        "name": lambda metric: words.metric_name(metric, k),
        "script": markupsafe.Markup(script),
        "script_hash": f"sha256-{digest}",
    }
    return made


def _source(name: str) -> str:
    return _TEMPLATES.get_source(jinja2.Environment(), name)[0]


def data_block(value: Any) -> markupsafe.Markup:
    """JSON that can stand in a script element: no text in it ends the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return markupsafe.Markup(text)


def _evaluation(recipe_text: str | None) -> Mapping[str, Any]:
    recipe = yaml.safe_load(recipe_text) if recipe_text else None
    found = recipe.get("evaluation") if isinstance(recipe, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def render_page(
    metrics: Mapping[str, Any],
    recipe_text: str | None = None,
    pictures: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """The page of a run.

    Args:
      metrics: the content of metrics.json.
      recipe_text: the resolved recipe, shown folded.
      pictures: feature -> key of an item -> its picture, a `data:` URI.
    """
    k = _evaluation(recipe_text).get("k")
    failed_first = {"failed": 0, "skipped": 1, "passed": 2}
    gates = sorted(metrics["gates"], key=lambda gate: failed_first[gate["status"]])
    tasks = view.task_rows(metrics)
    told = sentences.task_sentences(metrics)
    slices = slices_data(metrics, k)
    reliability = view.reliability_charts(metrics)
    curve_names = list(dict.fromkeys(c.name for of in reliability for c in of["chart"].curves))
    shown = {
        "reliability": reliability,
        "slices": slices and data_block(slices),
        "ranking": view.ranking_rows(tasks),
        "staleness": metrics.get("staleness"),
        "vectors": vectors_view.vector_rows(metrics, pictures or {}),
        "training": training_view(
            metrics["training"], {name: task["kind"] for name, task in metrics["tasks"].items()}
        ),
        "tasks": tasks,
    }
    used = [m for m in DIRECTIONS if any(m in task["metrics"] for task in metrics["tasks"].values())]
    told_by = dict.fromkeys(task["headline"]["metric"] for task in tasks if task["headline"])
    return (
        environment(k)
        .get_template("page.html")
        .render(
            run=metrics,
            headline=sentences.headline(metrics),
            aftermath=sentences.aftermath(metrics),
            sentences=told,
            told_by=[(words.metric_name(m, k), words.meaning(m, k)) for m in told_by],
            verdicts=Counter(verdict for verdict, _ in told),
            compared=any(verdict for verdict, _ in told),
            contents=[(i, title) for i, title in _SECTIONS.items() if shown.get(i, True)],
            gates=gates,
            failed_gates=[gate for gate in gates if gate["status"] == "failed"],
            counts=counted(gate["status"] for gate in gates),
            references=list(dict.fromkeys(who for of in metrics["references"].values() for who in of)),
            curve_names=curve_names,
            tuning=metrics.get("tuning"),
            lost=sentences.lost((metrics.get("span") or {}).get("lost", [])),
            kept_catalogs=sentences.kept_catalogs((metrics.get("span") or {}).get("catalogs", {})),
            began=metrics.get("warm_start") and sentences.beginning(metrics["warm_start"]),
            calibrated=view.calibration_rows(metrics["training"]),
            steps=view.step_rows(metrics),
            recipe_text=recipe_text,
            terms=[(words.metric_name(m, k), words.meaning(m, k)) for m in used] + list(words.TERMS.items()),
            **shown,
        )
    )
