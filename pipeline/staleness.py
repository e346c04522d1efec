"""Which models of earlier spans a run measures beside its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.spans.calendar import Calendar
from serving import versions

FILE, MOST = "staleness.json", 3


def older_models(folder: Path, calendar: Calendar, span: str) -> list[dict[str, Any]]:
    """The newest versions of earlier spans that are still there, one a span, the youngest first.

    Args:
      folder: the served folder.
      calendar: of the recipe's spans.
      span: of the run.

    Returns:
      Of each `age` in spans, `span`, `version`, `path` and `model`, the digest of its files.
    """
    found: dict[str, dict[str, Any]] = {}
    for number in reversed(versions.versions(folder)):
        version = folder / str(number)
        if versions.incomplete(version):
            continue
        record = versions.record(version)
        of = record.get("span", "")
        if len(of) == len(span) and of < span and of not in found:
            found[of] = {
                "age": calendar.number(span) - calendar.number(of),
                "span": of,
                "version": str(number),
                "path": str(version),
                "model": record.get("model", ""),
            }
    return [found[of] for of in sorted(found, reverse=True)[:MOST]]
