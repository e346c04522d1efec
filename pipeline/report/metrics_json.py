"""`metrics.json`: a run's facts as plain JSON, for programs; the page is drawn from the same dict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.evaluation.gates import task_result
from pipeline.evaluation.table import OVERALL, MetricRow, MetricsTable
from pipeline.report.facts import RowCounts, RunFacts

# Of the form; goes up where a key is renamed, removed or means something else. New keys may come without it.
VERSION = 1


def _plain(value: Any) -> Any:
    """JSON's types only; a number that is not finite, which JSON does not know, becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _task(name: str, kind: str, rows: Sequence[MetricRow], facts: RunFacts) -> dict[str, Any]:
    baseline = {row.metric: row.baseline for row in rows if row.baseline is not None}
    judged = ((facts.span or {}).get("judged") or {}).get(name, {})
    return {
        "kind": kind,
        "examples": rows[0].examples if rows else None,
        "metrics": {row.metric: row.value for row in rows},
        "intervals": {row.metric: [row.low, row.high] for row in rows if row.low is not None},
        "baseline": baseline or None,
        "differences": {r.metric: [r.diff_low, r.diff_high] for r in rows if r.diff_low is not None},
        "notes": {row.metric: judged.get("why") or row.note for row in rows if row.note},
        "span": judged.get("span") or None,
        "gate": task_result(name, facts.verdicts),
    }


def _references(table: MetricsTable) -> dict[str, dict[str, dict[str, float | None]]]:
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in table:
        if row.reference is not None:
            found.setdefault(row.task, {}).setdefault(row.reference, {})[row.metric] = row.value
    return found


def _slice_row(row: MetricRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "reference"}


def _rows(rows: RowCounts) -> dict[str, Any]:
    return asdict(rows) | {"written": rows.train + rows.validation + rows.test}


def build_metrics(facts: RunFacts) -> dict[str, Any]:
    """The content of metrics.json.

    Returns:
      A dict of JSON's types of the form of `pipeline.report.form.Metrics`, which docs/metrics.schema.json
      documents.
    """
    table = facts.table or MetricsTable([])
    model_rows = [row for row in table if row.reference is None]
    overall = {name: [r for r in model_rows if (r.task, r.slice) == (name, OVERALL)] for name in facts.kinds}
    steps = {step: s for step, s in facts.seconds.items() if step != "total"}
    return _plain(
        {
            "version": VERSION,
            "recipe": facts.recipe,
            "run": facts.run,
            "started": facts.started,
            "status": facts.status,
            "reason": facts.reason,
            "blessed": facts.blessed,
            "pushed": facts.pushed,
            "serving_model": facts.serving_model,
            "failure": asdict(facts.failure) if facts.failure else None,
            "not_reached": list(facts.not_reached),
            "span": facts.span,
            "rows": _rows(facts.rows) if facts.rows else None,
            "tasks": {name: _task(name, kind, overall[name], facts) for name, kind in facts.kinds.items()},
            "references": _references(table),
            "slices": [_slice_row(row) for row in model_rows if row.slice != OVERALL],
            "reliability": [dict(row) for row in facts.reliability],
            "vectors": dict(facts.vectors),
            "gates": [asdict(verdict) for verdict in facts.verdicts],
            "training": facts.training,
            "staleness": facts.staleness,
            "warm_start": facts.warm_start,
            "tuning": facts.tuning,
            "seconds": steps | {"total": facts.seconds.get("total", sum(steps.values()))},
            "memory": dict(facts.memory),
            "cached": list(facts.cached),
            "versions": dict(facts.versions),
        }
    )
