"""Geometry of the pages' charts: data in, coordinates out. The templates draw and escape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    told: list[tuple[str, str]] = field(default_factory=list)  # of each point, in order: where and how much

    @property
    def points(self) -> list[tuple[float, float, str, str]]:
        """(x, y, where, how much) of every point."""
        flat = [point for run in self.runs for point in run]
        return [(x, y, *told) for (x, y), told in zip(flat, self.told, strict=True)]

    @property
    def paths(self) -> list[str]:
        return ["M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in self.runs]


@dataclass(frozen=True)
class LineChart:
    """A chart over epochs or runs; `mark` is what was chosen, None where it is not known."""

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
        told = []
        for epoch, value in zip(epochs, values, strict=True):
            if value is None:
                runs.append([])
            else:
                runs[-1].append((x(epoch), y(value)))
                told.append((f"epoch {epoch}", f"{value:.4g}"))
        lines.append(Line(name, (colors or {}).get(name, i), [run for run in runs if run], told))
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
class Curve:
    """Of one score: (x, y, low, high, words) of every bin, viewBox units; low and high None without one."""

    name: str
    points: list[tuple[float, float, float | None, float | None, str]]

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y, *_ in self.points)


@dataclass(frozen=True)
class ReliabilityChart:
    """What was predicted (across) against what happened (up), on one scale from 0 for both.

    Attributes:
      shares: (x, width, height) of bars for how many rows lie in each bin of the first curve.
    """

    title: str
    description: str
    curves: list[Curve]
    shares: list[tuple[float, float, float]]
    ticks: list[Tick]  # of either axis: at is the share of its length


SQUARE, SQUARE_LEFT, SQUARE_BOTTOM = 240, 40, 36  # of a reliability chart


def reliability_chart(title: str, scores: Mapping[str, Sequence[Mapping]]) -> ReliabilityChart | None:
    """A reliability curve for each score.

    Args:
      title: of the chart.
      scores: name -> bins with `mean_prediction`, `mean_label`, `weight`, `low`, `high`.

    Returns:
      None without bins.
    """
    bins = [b for of in scores.values() for b in of]
    if not bins:
        return None
    highest = max(max(b["mean_prediction"], b["mean_label"], b["high"] or 0.0) for b in bins)
    marks = ticks(0.0, max(highest, 1e-9))  # nothing but zeros has a scale too
    top, size = marks[-1], SQUARE - SQUARE_LEFT - 10
    base = SQUARE - SQUARE_BOTTOM

    def x(value: float) -> float:
        return SQUARE_LEFT + value / top * size

    def y(value: float) -> float:
        return base - value / top * (base - 10)

    curves = []
    for name, of in scores.items():
        points = []
        for b in sorted(of, key=lambda b: b["mean_prediction"]):
            low, high = b.get("low"), b.get("high")
            between = f" ({low:.3g} to {high:.3g})" if low is not None else ""
            words = (
                f"{name}: predicted {b['mean_prediction']:.3g}, happened {b['mean_label']:.3g}{between}, "
                f"{b['weight']:,.0f} rows"
            )
            ends = (y(low), y(high)) if low is not None else (None, None)
            points.append((x(b["mean_prediction"]), y(b["mean_label"]), *ends, words))
        curves.append(Curve(name, points))
    first = sorted(next(iter(scores.values())), key=lambda b: b["mean_prediction"])
    most = max((b["weight"] for b in first), default=0.0) or 1.0
    shares = [(x(b["mean_prediction"]) - 2, 4, 26 * b["weight"] / most) for b in first]
    last = first[-1] if first else bins[-1]
    return ReliabilityChart(
        title,
        f"{title}: in the highest bin {last['mean_prediction']:.3g} was predicted and "
        f"{last['mean_label']:.3g} happened.",
        curves,
        shares,
        [Tick(v / top, tick_text(v, marks[1] - marks[0])) for v in marks],
    )


@dataclass(frozen=True)
class Span:
    """A value and its interval on a scale: percent of the width there is; None where there is none."""

    value: float
    low: float | None
    high: float | None
    marks: list[Tick]


def spans(rows: Sequence[Mapping[str, Any]], marked: Sequence[float] = ()) -> list[Span | None]:
    """Values with intervals on one scale.

    Args:
      rows: with `value`, `interval` (None or two ends) and `marks` {words: value or None}.
      marked: what the scale has to hold as well, such as 0.

    Returns:
      One a row, None where its value is None.
    """
    known = [*marked]
    for row in rows:
        if row["value"] is not None:
            values = (row["value"], *(row["interval"] or ()), *row["marks"].values())
            known += [v for v in values if v is not None]
    if not known:
        return [None for _ in rows]
    low, high = min(known), max(known)
    room = (high - low) * 0.04 or abs(low) * 0.1 or 1.0
    low, high = low - room, high + room

    def at(value: float | None) -> float | None:
        return None if value is None else 100 * (value - low) / (high - low)

    return [
        Span(
            at(row["value"]),
            at((row["interval"] or (None, None))[0]),
            at((row["interval"] or (None, None))[1]),
            [Tick(at(v), words) for words, v in row["marks"].items() if v is not None],
        )
        if row["value"] is not None
        else None
        for row in rows
    ]


@dataclass(frozen=True)
class HistoryChart:
    """A task's metric over runs, in viewBox units.

    Attributes:
      band: path of the intervals' outline; empty where a run has none.
      points: (x, y, whether that run's model was pushed, words).
    """

    title: str
    description: str
    path: str
    band: str
    points: list[tuple[float, float, bool, str]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def history_chart(
    title: str,
    runs: Sequence[str],
    points: Sequence[tuple[int, float, tuple[float, float] | None]],
    pushed: Sequence[bool],
) -> HistoryChart | None:
    """One metric over runs.

    Args:
      title: the task.
      runs: names, oldest first.
      points: (place in `runs`, value, interval or None), ascending.
      pushed: of each run.

    Returns:
      None without points.
    """
    if not points:
        return None
    known = [v for _, value, ends in points for v in (value, *(ends or ()))]
    marks = ticks(min(known), max(known))
    most = max(len(runs) - 1, 1)

    def x(place: float) -> float:
        return LEFT + 6 + place / most * (WIDTH - LEFT - RIGHT - 12)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - marks[0]) / (marks[-1] - marks[0]) * (HEIGHT - TOP - BOTTOM)

    band = ""
    if len(points) > 1 and all(ends for _, _, ends in points):
        above = [f"{x(at):.1f},{y(ends[1]):.1f}" for at, _, ends in points]  # type: ignore[index]
        below = [f"{x(at):.1f},{y(ends[0]):.1f}" for at, _, ends in reversed(points)]  # type: ignore[index]
        band = "M" + "L".join(above + below) + "Z"
    drawn = []
    for at, value, ends in points:
        between = f" ({ends[0]:.4g} to {ends[1]:.4g})" if ends else ""
        outcome = "pushed" if pushed[at] else "not pushed"
        drawn.append((x(at), y(value), pushed[at], f"{runs[at]}, {outcome}: {value:.4g}{between}"))
    last = points[-1]
    # two names at most: they are long
    shown = [0, len(runs) - 1] if len(runs) > 1 else [0]
    return HistoryChart(
        title,
        f"{title} over {len(points)} runs: {points[0][1]:.4g} at first, {last[1]:.4g} at last.",
        "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in drawn),
        band,
        drawn,
        [Tick(x(place), runs[place]) for place in shown],
        [Tick(y(v), tick_text(v, marks[1] - marks[0])) for v in marks],
    )
