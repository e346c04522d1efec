"""Drift gates: each distance of a span against its bound, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.drift.distances import Dataset, Distance, distances
from pipeline.evaluation.gates import Verdict
from pipeline.recipe.drift import Drift
from pipeline.spans.statistics import merge

# What a learned bound is at least, so that the first days have one and quiet columns are left alone.
LEAST = {"values": 0.15, "new_values": 0.3, "missing": 0.05, "label": 0.3}
_GATE = "drift"


def judge(
    spans: Mapping[str, Dataset],
    evaluated: str,
    columns: list[str],
    labels: Mapping[str, str],
    user: str | None,
    drift: Drift,
) -> list[Verdict]:
    """What of a span differs too much from the span before it, and from all of its window.

    Args:
      spans: name → statistics, in order; the one that is evaluated is the last.
      evaluated: its name.
      columns, labels, user: see `distances`.
      drift: the recipe's bounds; what it leaves out is learned from how much the earlier spans differ.

    Returns:
      A verdict for each distance beyond its bound: failed, or skipped where drift only warns. Where there is none,
      one that passed, with the distance that came nearest to its bound.
    """
    earlier = [spans[name] for name in spans if name != evaluated]
    names = [name for name in spans if name != evaluated]
    before = {names[-1]: earlier[-1]}
    if len(earlier) > 1:
        before[f"{names[0]} to {names[-1]}"] = merge(earlier)
    history = _history(earlier, columns, labels, user)
    found, nearest = [], None
    for who, old in before.items():
        for distance in distances(spans[evaluated], old, columns, labels, user):
            bound, why = _bound(distance, drift, history, len(earlier))
            said = _sentence(distance, evaluated, who, bound, why)
            if distance.value > bound:
                if drift.then == "stop":
                    found.append(Verdict("failed", said, gate=_GATE))
                else:
                    found.append(Verdict("skipped", f"{said}; the recipe says to warn alone", gate=_GATE))
            if nearest is None or distance.value / bound > nearest[0]:
                nearest = (distance.value / bound, said)
    if found or nearest is None:
        return found
    said = f"drift: {evaluated} is like {' and '.join(before)}; the nearest to its bound is {nearest[1][7:]}"
    return [Verdict("passed", said, gate=_GATE)]


def _history(
    earlier: Sequence[Dataset], columns: list[str], labels: Mapping[str, str], user: str | None
) -> dict[tuple[str, str], float]:
    """(measure, column or task) → the largest distance of an earlier span to the one before it, and to all
    before it."""
    found: dict[tuple[str, str], float] = {}
    for place in range(1, len(earlier)):
        for old in (earlier[place - 1], merge(earlier[:place])):
            for distance in distances(earlier[place], old, columns, labels, user):
                key = (distance.measure, distance.name)
                found[key] = max(distance.value, found.get(key, 0.0))
    return found


def _bound(
    distance: Distance, drift: Drift, history: Mapping[tuple[str, str], float], spans: int
) -> tuple[float, str]:
    given = getattr(drift, distance.measure)
    if distance.measure == "values":
        given = drift.columns.get(distance.name, given)
    if given is not None:
        return given, "by the recipe"
    most = history.get((distance.measure, distance.name), 0.0)
    # half as far again as ever; of a share that was near 1, half of the way that is left
    learned = 1.5 * most if distance.measure == "label" else min(1.5 * most, (1 + most) / 2)
    # what is let pass anyway, and what chance does besides
    least = float(np.hypot(LEAST[distance.measure], distance.noise))
    if learned > least:
        return learned, f"learned from {spans} earlier spans"
    return least, "by default, for so many rows"


def _sentence(distance: Distance, evaluated: str, who: str, bound: float, why: str) -> str:
    moved = f": {distance.moved}" if distance.moved else ""
    return (
        f"drift: {distance.name}: {evaluated} against {who}: {distance.what} is {distance.value:.3f}, and "
        f"{bound:.3f} is allowed {why}{moved}"
    )
