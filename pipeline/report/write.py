"""Writes a run's report: metrics.json for programs, index.html for people."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipeline.report.facts import RunFacts
from pipeline.report.metrics_json import build_metrics
from pipeline.report.page import render_page


def _replace(path: Path, text: str) -> None:
    # A reader sees the old file or the new one, never half of one.
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)


def write_report(facts: RunFacts, folder: str | Path) -> dict[str, Any]:
    """Writes `metrics.json` and `index.html` into a folder, which is made if need be.

    Returns:
      The content of metrics.json (see `build_metrics`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metrics = build_metrics(facts)
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False)
    _replace(folder / "metrics.json", text + "\n")
    _replace(folder / "index.html", render_page(metrics, facts.recipe_text))
    return metrics
