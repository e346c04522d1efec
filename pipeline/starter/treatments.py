"""Columns that look as if they had been drawn at random, as the arms of an experiment are."""

from __future__ import annotations

import numpy as np

from pipeline.starter.columns import Field

MOST_ARMS = 12
LIKE_CHANCE = 3.3  # standard deviations of a normal: 1 in 2,000 independent pairs is beyond
ROWS = 5_000  # fewer do not tell


def randomised(fields: list[Field], rows: int) -> list[Field]:
    """Those of few values that depend on no other column, where the others do depend on one another.

    Args:
      fields: what is known before, of single values.
      rows: of the sample.
    """
    cut = {f.name: _few(f) for f in fields if not f.constant}
    usable = [f for f in fields if f.name in cut]
    if rows < ROWS or len(usable) < 4:
        return []
    worst = {f.name: max(_dependence(cut[f.name], cut[g.name]) for g in usable if g is not f) for f in usable}
    found = [f for f in usable if 2 <= f.distinct <= MOST_ARMS and worst[f.name] <= LIKE_CHANCE]
    return found if len(found) <= len(usable) / 3 else []


def _few(f: Field) -> np.ndarray:
    """Int64 `[rows]`: the value, or, of many, its tenth of the rows."""
    if f.distinct <= MOST_ARMS or not (f.numeric or f.type in ("time", "date")):
        frequent = np.argsort(-np.bincount(f.codes + 1))[:MOST_ARMS]
        return np.where(np.isin(f.codes + 1, frequent), f.codes + 1, -1) + 1
    bounds = np.nanquantile(f.numbers, np.linspace(0.1, 0.9, 9))
    return np.where(f.missing, 10, np.searchsorted(bounds, np.nan_to_num(f.numbers)))


def _dependence(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's χ² of two columns as a standard normal (Wilson & Hilferty 1931)."""
    shape = one.max() + 1, other.max() + 1
    table = np.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
    table = table[table.sum(1) >= 50]
    table = table[:, table.sum(0) >= 50]
    table = table[table.sum(1) > 0]
    if min(table.shape) < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    spread = 2 / (9 * freedom)
    ratio = ((table - expected) ** 2 / expected).sum() / freedom
    return float((np.cbrt(ratio) - 1 + spread) / np.sqrt(spread))
