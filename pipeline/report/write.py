"""Writes a run's report: index.html and summary.md for people, metrics.json and gates.xml for programs."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

from pipeline.report.facts import RunFacts
from pipeline.report.junit import junit
from pipeline.report.markdown import markdown
from pipeline.report.metrics_json import build_metrics
from pipeline.report.page import render_page


def replace(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old one or the new one, never half of one."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    # names of files may hold bytes that are no text, which UTF-8 cannot hold; in JSON it is their escape
    half.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(half, path)


def write_report(facts: RunFacts, folder: str | Path) -> dict[str, Any]:
    """Writes `metrics.json`, `gates.xml` (JUnit), `summary.md` and `index.html` into a folder, which is made
    if need be. One of the last three that cannot be made says so in its place, and in the log.

    Returns:
      The content of metrics.json (see `build_metrics`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metrics = build_metrics(facts)
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False)
    replace(folder / "metrics.json", text + "\n")
    for name, rendered in (
        ("gates.xml", lambda: junit(metrics)),
        ("summary.md", lambda: markdown(metrics)),
        ("index.html", lambda: render_page(metrics, facts.recipe_text, facts.pictures)),
    ):
        try:
            text = rendered()
        except Exception:
            # what was decided stands: a model may serve already, whose run must not end as failed
            traceback.print_exc()
            text = f"{name} could not be made; metrics.json beside it is whole.\n\n{traceback.format_exc()}"
        replace(folder / name, text)
    return metrics
