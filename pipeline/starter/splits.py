"""Where validation and test begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.starter.columns import Field
from pipeline.starter.features import DAY_MS
from pipeline.starter.tables import Table

HOUR_MS = 3_600_000
LEAST = 0.08  # share of the rows in validation, and in test


@dataclass
class Split:
    """`lines` are the recipe's under `splits:`; `test_share` is the share of rows in test."""

    lines: list[str]
    note: str
    test_share: float


def find_split(log: Table, time: Field | None, user: Field | None) -> Split:
    """By time at whole days or hours, about 80, 10 and 10 % of the rows; else by hash of the user or row."""
    if time is not None:
        values = time.numbers[~np.isnan(time.numbers)]
        step = DAY_MS if np.ptp(values) >= 4 * DAY_MS else HOUR_MS
        bounds = _bounds(np.floor(values / step).astype(np.int64))
        if bounds is not None:
            first, second, share = bounds
            lines = [
                f"validation_from: {_written(first * step, step)}",
                f"test_from: {_written(second * step, step)}",
            ]
            seen = f"{_written(int(values.min()), step)} to {_written(int(values.max()), step)}"
            return Split(
                ["by: time", *lines], f"the log is from {seen}, UTC; test is {share:.0%} of it", share
            )
    share = 0.1 if log.sample.total >= 200_000 else 0.15
    of, note = "row", "no time, and no user with several rows"
    if time is not None:
        note = "all rows are of one hour, and no user has several"
    if user is not None and user.distinct < 0.9 * log.rows:
        of, note = "user", "no time to split by: each user's rows stay together"
    return Split(["by: hash", f"of: {of}", f"validation: {share}", f"test: {share}"], note, share)


def _bounds(steps: np.ndarray) -> tuple[int, int, float] | None:
    """First whole day (or hour) of validation and of test: the last that leave each enough rows."""
    distinct, counts = np.unique(steps, return_counts=True)
    if len(distinct) < 3:
        return None
    after = counts[::-1].cumsum()[::-1] / counts.sum()  # share of rows from each step on
    second = max(2, int(np.flatnonzero(after >= LEAST)[-1]))
    earlier = [i for i in range(1, second) if after[i] - after[second] >= LEAST]
    first = earlier[-1] if earlier else 1
    return int(distinct[first]), int(distinct[second]), float(after[second])


def _written(ms: int, step: int) -> str:
    moment = np.datetime64(int(ms), "ms")
    return (
        str(moment.astype("datetime64[D]"))
        if step == DAY_MS
        else str(moment.astype("datetime64[h]")) + ":00:00"
    )
