"""Geometry of the page's charts: data in, coordinates out. The templates draw and escape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Of an SVG's viewBox; the page scales it to the width there is.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 20, 34


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it is (viewBox units) and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One series: `points` are (x, y) in viewBox units, broken into runs where a value is missing."""

    name: str
    color: int
    runs: list[list[tuple[float, float]]]

    @property
    def paths(self) -> list[str]:
        return ["M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in self.runs]


@dataclass(frozen=True)
class LineChart:
    """A chart over epochs; `mark` is the x of the chosen epoch, None where it is not known."""

    title: str
    description: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    mark: Tick | None


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from at or below low to at or above high."""
    if not high > low:
        spread = abs(low) * 0.1 or 1.0
        low, high = low - spread, high + spread
    rough = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """A tick's number, with as many places as its step needs."""
    if value and (abs(value) >= 1e6 or step < 1e-5):
        return f"{value:.3g}"
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{places}f}"


def line_chart(
    title: str,
    epochs: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    best_epoch: int | None,
    colors: Mapping[str, int] | None = None,
) -> LineChart | None:
    """Lines over epochs.

    Args:
      title: of the chart.
      epochs: ascending.
      series: name -> one value an epoch, None where there is none.
      best_epoch: the one to mark.
      colors: name -> index into the page's palette; by order where left out.

    Returns:
      None where there is no value at all.
    """
    known = [v for values in series.values() for v in values if v is not None]
    if not known or not epochs:
        return None
    y_values = ticks(min(known), max(known))
    y_low, y_high = y_values[0], y_values[-1]
    x_low, x_high = epochs[0], max(epochs[-1], epochs[0] + 1)

    def x(epoch: float) -> float:
        return LEFT + (epoch - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    lines = []
    for i, (name, values) in enumerate(series.items()):
        runs: list[list[tuple[float, float]]] = [[]]
        for epoch, value in zip(epochs, values, strict=True):
            if value is None:
                runs.append([])
            else:
                runs[-1].append((x(epoch), y(value)))
        lines.append(Line(name, (colors or {}).get(name, i), [run for run in runs if run]))
    step = y_values[1] - y_values[0]
    stride = max(1, math.ceil(len(epochs) / 8))
    shown = [e for e in epochs[::stride]]
    last = {name: next((v for v in reversed(list(vs)) if v is not None), None) for name, vs in series.items()}
    ends = "; ".join(f"{name} ends at {value:.4g}" for name, value in last.items() if value is not None)
    chosen = f" Epoch {best_epoch} was chosen." if best_epoch else ""
    return LineChart(
        title=title,
        description=f"{title} over epochs {epochs[0]} to {epochs[-1]}: {ends}.{chosen}",
        lines=lines,
        x_ticks=[Tick(x(e), str(e)) for e in shown],
        y_ticks=[Tick(y(v), tick_text(v, step)) for v in y_values],
        mark=Tick(x(best_epoch), f"epoch {best_epoch}") if best_epoch in epochs else None,
    )


@dataclass(frozen=True)
class IntervalRow:
    """One task on the chart of intervals, all x in viewBox units; None where there is none."""

    name: str
    y: float
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    references: list[Tick]
    text: str


@dataclass(frozen=True)
class IntervalChart:
    """A row a task: the model's value and interval, the serving model's, and the references."""

    title: str
    description: str
    rows: list[IntervalRow]
    x_ticks: list[Tick]
    width: float
    height: float
    left: float


def interval_chart(title: str, tasks: Mapping[str, Mapping], metric: str) -> IntervalChart | None:
    """Compares tasks on one metric.

    Args:
      title: of the chart.
      tasks: name -> {"value", "low", "high", "baseline": float or None, "references": {name: float}}.
      metric: its name, for the text alternative.

    Returns:
      None where no task has a value.
    """
    tasks = {name: task for name, task in tasks.items() if task["value"] is not None}
    if not tasks:
        return None
    known = [
        v
        for task in tasks.values()
        for v in (task["value"], task["low"], task["high"], task["baseline"], *task["references"].values())
        if v is not None
    ]
    marks = ticks(min(known), max(known), wanted=6)
    width, left, right, row_height, top = 900, 160, 70, 34, 12

    def x(value: float | None) -> float | None:
        if value is None:
            return None
        return left + (value - marks[0]) / (marks[-1] - marks[0]) * (width - left - right)

    rows = [
        IntervalRow(
            name, top + row_height * (i + 0.5), x(task["value"]), x(task["low"]), x(task["high"]),
            x(task["baseline"]), [Tick(x(v), who) for who, v in task["references"].items() if v is not None],
            f"{task['value']:.4f}",
        )
        for i, (name, task) in enumerate(tasks.items())
    ]  # fmt: skip
    told = "; ".join(f"{name} {task['value']:.4f}" for name, task in tasks.items())
    return IntervalChart(
        title=title,
        description=f"{metric} of the new model by task: {told}.",
        rows=rows,
        x_ticks=[Tick(x(v), tick_text(v, marks[1] - marks[0])) for v in marks],
        width=width,
        height=top + row_height * len(rows) + 34,
        left=left,
    )
