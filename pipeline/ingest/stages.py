"""Which rows must meet, and in which order: the keyed stages of an ingestion.

Repeats, catalogs too large for memory, events and history each need all rows of a key in one place. A stage
brings the rows with equal values of its key together, in a partition on disk; what needs the same key, or a
longer one that begins there, shares a stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.recipe.parts import Catalog, Earlier, Events


@dataclass
class Stage:
    """What is done where rows with equal `key` meet, in this order.

    Attributes:
      key: columns; rows with the same values are in one partition.
      catalogs: names in the recipe of those joined.
      joined: whether by then all columns of catalogs are there that were not when rows were read.
      repeats: whether repeats are dropped.
      events, history: names in the recipe.
    """

    key: list[str]
    catalogs: list[str] = field(default_factory=list)
    joined: bool = False
    repeats: bool = False
    events: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


def make_stages(
    unique: list[str],
    catalogs: Mapping[str, Catalog],
    events: Mapping[str, Events],
    history: Mapping[str, Earlier],
    row: str,
) -> list[Stage]:
    """The stages, at least one.

    Catalogs come first and repeats next, so that what a join finds dead is so before repeats are dropped and
    history is made, as it is where catalogs are joined while rows are read.

    Args:
      unique: the log's columns that make a row unique.
      catalogs: those joined by key.
      events: all.
      history: all.
      row: the column to spread rows by where nothing has to meet.
    """
    stages: list[Stage] = []

    def place(key: Iterable[str]) -> Stage:
        key = list(dict.fromkeys(key))
        if stages:
            last = stages[-1]
            if set(last.key) <= set(key):
                return last
            if set(key) <= set(last.key):  # rows that share the longer key share the shorter one
                last.key = key
                return last
        stages.append(Stage(key))
        return stages[-1]

    for name, catalog in catalogs.items():
        place([catalog.on or catalog.key]).catalogs.append(name)
    if catalogs:
        stages[-1].joined = True
    if unique:
        place(unique).repeats = True
    for name, source in events.items():
        place(source.keys).events.append(name)
    first = max(len(stages) - 1, 0)  # by then all is joined that history may read
    # the shortest keys first, so that longer ones can share their stage
    for name in sorted(history, key=lambda name: len(history[name].by)):
        fitting = (stage for stage in stages[first:] if set(stage.key) <= set(history[name].by))
        (next(fitting, None) or place(history[name].by)).history.append(name)
    return stages or [Stage([row])]
