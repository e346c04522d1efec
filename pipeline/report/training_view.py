"""What the page shows of training: curves, weights, gates and experts, gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.charts import LineChart, line_chart
from pipeline.report.words import headline_of, metric_name

_PAIR = " and "
_PAIRS_DRAWN = 8


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


def training_view(training: Mapping[str, Any] | None, kinds: Mapping[str, str]) -> dict[str, Any] | None:
    """Charts of the training: objective, losses, validation metrics, task weights, gradients; gates' use of
    experts and the tasks' gradient cosines at the chosen epoch.

    Args:
      training: the history.
      kinds: task -> kind.

    Returns:
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
        metric = headline_of(kinds.get(task, ""), metrics) or next(iter(metrics), None)
        if metric:
            values = _over_epochs(epochs, "validation", task, metric)
            title = f"{task}: {metric_name(metric)} on validation"
            validation.append(line_chart(title, numbers, {task: values}, best, colors))
    weights = {task: _over_epochs(epochs, "task_weights", task) for task in _names(epochs, "task_weights")}
    overall = [
        chart("Objective (what the epoch is chosen by)", {"objective": _over_epochs(epochs, "objective")}),
        chart("Task weights", weights) if weights else None,
        chart("Learning rate", {"learning rate": _over_epochs(epochs, "learning_rate")}),
    ]
    chosen = next((e for e, n in zip(epochs, numbers, strict=True) if n == best), epochs[-1])
    gates = {g: of for g, of in (chosen.get("gates") or {}).items() if isinstance(of.get("mean"), Mapping)}
    use = {gate: of["mean"] for gate, of in gates.items()} or chosen.get("gate_use") or {}
    return {
        "objective": training.get("objective"),
        "best_epoch": best,
        "epochs": len(epochs),
        "seconds": sum(v for v in _over_epochs(epochs, "seconds") if v is not None) or None,
        "overall": [c for c in overall if c],
        "losses": [c for c in losses if c],
        "validation": [c for c in validation if c],
        "gates": _gate_tables(use, gates),
        "chosen": chosen.get("epoch"),
        "alarms": chosen.get("alarms") or [],
        "conflict": _conflict(chosen.get("gradients") or {}),
        "inside": _inside(epochs, chart),
    }


def _inside(epochs: Sequence[Mapping], chart: Any) -> list[LineChart]:
    """Charts of what gradients and gates do: a line a task, pair of tasks, or gate. Of many pairs, those that
    are most in conflict at the end."""
    gradients = [epoch.get("gradients") or {} for epoch in epochs]
    norms = {t: _over_epochs(gradients, "norms", t) for t in _names(gradients, "norms")}
    cosines = {p: _over_epochs(gradients, "cosines", p) for p in _names(gradients, "cosines")}
    worst = sorted(cosines, key=lambda p: next((v for v in reversed(cosines[p]) if v is not None), 1.0))
    drawn_pairs = {p: cosines[p] for p in worst[:_PAIRS_DRAWN]}
    entropies = {g: _over_epochs(epochs, "gates", g, "entropy") for g in _names(epochs, "gates")}
    which = f", the {_PAIRS_DRAWN} lowest of {len(cosines)}" if len(cosines) > _PAIRS_DRAWN else ""
    drawn = [
        chart("Gradient norms", norms),
        chart(f"Gradient cosines (below 0: tasks in conflict){which}", drawn_pairs),
        chart("Gate entropy (1: all experts alike, 0: one a row)", entropies),
    ]
    return [c for c in drawn if c]


def _conflict(gradients: Mapping[str, Mapping]) -> dict[str, Any] | None:
    """The tasks' gradient cosines as a square: a row a task, {cosine, conflicts} a cell, None on the
    diagonal."""
    cosines, conflicts = gradients.get("cosines") or {}, gradients.get("conflicts") or {}
    if not cosines:
        return None
    tasks = list(dict.fromkeys(task for pair in cosines for task in pair.split(_PAIR)))

    def cell(a: str, b: str) -> dict[str, Any] | None:
        pair = f"{a}{_PAIR}{b}" if f"{a}{_PAIR}{b}" in cosines else f"{b}{_PAIR}{a}"
        return None if a == b else {"cosine": cosines.get(pair), "conflicts": conflicts.get(pair)}

    rows = [{"task": a, "cells": [cell(a, b) for b in tasks]} for a in tasks]
    known = {pair: value for pair, value in cosines.items() if value is not None}
    lowest = min(known, key=known.__getitem__, default=None)
    return {"tasks": tasks, "rows": rows, "lowest": lowest, "cosine": known.get(lowest)}


def _gate_tables(
    gate_use: Mapping[str, Mapping[str, float]], gates: Mapping[str, Mapping]
) -> list[dict[str, Any]]:
    """Gates that mix the same experts share a table (a level of PLE, or the whole of MMoE)."""
    tables: dict[tuple[str, ...], dict[str, Any]] = {}
    experts_seen: dict[frozenset, tuple[str, ...]] = {}
    for gate, use in gate_use.items():
        experts = experts_seen.setdefault(frozenset(use), tuple(use))
        table = tables.setdefault(experts, {"experts": list(experts), "rows": []})
        load = (gates.get(gate) or {}).get("load") or {}
        cells = [{"use": use[expert], "load": load.get(expert)} for expert in experts]
        table["rows"].append(
            {"gate": gate, "cells": cells, "entropy": (gates.get(gate) or {}).get("entropy")}
        )
    return list(tables.values())
