"""What may go wrong with a log from one day on, so that a gate has something to find."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.demo.catalogs import Items

if TYPE_CHECKING:
    from pipeline.demo.truth import Propensities

KINDS = ("unit", "ids", "label", "encoder")
MILLISECONDS = 1000
RENUMBERED = "n"  # what stands before a new id's number, in place of the old one's i


@dataclass(frozen=True)
class Drift:
    """A change that is planted.

    Attributes:
      kind: `unit`: the catalog of items gives lengths in milliseconds, not seconds. `ids`: items have new ids
        in log, orders and catalog, which has the old ones too. `label`: half as many likes. `encoder`: the
        items' vectors are another encoder's.
      day: the first one that it is on, from 0. A catalog has no days: that of a world with `unit` or `encoder`
        is what is delivered on that day, and the one before is that of the world without.
    """

    kind: str
    day: int


def parse(text: str, days: int) -> Drift:
    """`KIND` or `KIND:DAY`, with DAY from 1; the last of `days` where it is left out.

    Raises: ValueError where it is neither.
    """
    kind, colon, day = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"drift is '{text}'; it is one of {', '.join(KINDS)}, or one with a day: ids:15")
    if colon and not (day.isdecimal() and 1 <= int(day) <= days):
        raise ValueError(f"drift is '{text}'; its day must be 1 to {days}")
    return Drift(kind, (int(day) if colon else days) - 1)


def drifted_items(items: Items, drift: Drift | None, day: int) -> Items:
    """The items as a day's log calls them."""
    if drift is None or drift.kind != "ids" or day < drift.day:
        return items
    return dataclasses.replace(items, ids=np.array([RENUMBERED + name[1:] for name in items.ids.tolist()]))


def drifted_chances(chance: Propensities, drift: Drift | None, day: int) -> Propensities:
    """The chances of a day's labels."""
    if drift is None or drift.kind != "label" or day < drift.day:
        return chance
    return dataclasses.replace(chance, like=chance.like / 2)


def plant_in_catalog(path: Path, drift: Drift | None) -> None:
    """Rewrites the catalog of items."""
    if drift is None or drift.kind not in ("unit", "ids"):
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if drift.kind == "unit":
        for row in rows:
            row["duration_s"] = row["duration_s"] and str(int(row["duration_s"]) * MILLISECONDS)
    else:
        rows += [row | {"item_id": RENUMBERED + row["item_id"][1:]} for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
