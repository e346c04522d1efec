"""A shop with a log and a checkout, as rows that tests put into files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeline.recipe import loads

DAY = 86_400_000
SHOP = """
version: 1
name: shop
sources:
  log:
    files: log/*.csv
    columns: {user: int, item: string, at: time, tags: {type: "list[string]", separator: "|"}, click: {type: int, known: after}}
  events:
    orders:
      files: orders/*.csv
      keys: [user, item]
      time: at
      columns: {user: int, item: string, at: time}
roles: {user: user, item: item, time: at}
features: {user: {kind: categorical}, item: {kind: categorical}}
tasks:
  click: {kind: binary, label: click}
  buy: {kind: binary, events: {source: orders, window: 2d}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
spans: {by: day, window: 3}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


@pytest.fixture
def shop_text():
    return SHOP


@pytest.fixture
def shop():
    return loads(SHOP)


@pytest.fixture
def write():
    """Writes rows into a file; the place of a row in time is given in days."""

    def _write(path: Path, rows: list[tuple]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        names = (
            ["user", "item", "at", "tags", "click"] if path.parent.name == "log" else ["user", "item", "at"]
        )
        frame = pd.DataFrame(rows, columns=names)
        frame["at"] = (frame["at"] * DAY).astype("int64")
        frame.to_csv(path, index=False)

    return _write
