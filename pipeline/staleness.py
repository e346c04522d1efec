"""Which models of earlier spans a run measures, and on which rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.spans.calendar import Calendar
from serving import versions

FILE, MOST = "staleness.json", 3


def measured_spans(
    folder: Path, calendar: Calendar, span: str, judged: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows that models are measured on, and the versions that are: a task where it is judged.

    On the run's own span these are of earlier spans, to be held against the new model. On an earlier one,
    which a task with late labels is judged on, they are of that span and of those before it: of all later
    models, the new one too, other labels of its rows were trained on. So what is measured there is what the
    run of that span would have said of the task, had the labels been there.

    Args:
      folder: the served folder.
      calendar: of the recipe's spans.
      span: of the run.
      judged: task → the span that it is judged on; "" where on none.

    Returns:
      Of each span where there are two ages to tell apart, the newest first: `span`, `tasks` and `models`, as
      `pushed_models` gives them.
    """
    found = []
    for at in sorted({at for at in judged.values() if at}, reverse=True):
        models = pushed_models(folder, calendar, at)
        if at == span:
            models = [of for of in models if of["age"]]
        if len(models) > (at != span):  # the new model is there beside those of the run's own span
            found.append({"span": at, "tasks": [t for t in judged if judged[t] == at], "models": models})
    return found


def pushed_models(folder: Path, calendar: Calendar, span: str) -> list[dict[str, Any]]:
    """The newest versions of a span and of up to three before it that are still there, one a span, the
    youngest first.

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
        if len(of) == len(span) and of <= span and of not in found:
            found[of] = {
                "age": calendar.number(span) - calendar.number(of),
                "span": of,
                "version": str(number),
                "path": str(version),
                "model": record.get("model", ""),
            }
    youngest = sorted(found, reverse=True)
    return [found[of] for of in youngest[: MOST + (span in found)]]
