"""Which spans a schedule left out: no run of theirs came to an end, and one of an earlier span did."""

from __future__ import annotations

from pathlib import Path

from pipeline.recipe import Recipe
from pipeline.spans.calendar import Calendar
from pipeline.spans.contents import content
from pipeline.spans.store import SpanStore


def may_be_missed(recipe: Recipe, home: Path, name: str) -> list[str]:
    """The spans between one and the newest before it of which a run came to an end, in order; those alone that
    its run would train on. None where its own run came to an end before, and where none ever did: nothing was
    missed then, and what lies in the log from before is for `--from` and `--to`.

    Args:
      recipe: with `spans`.
      home: the recommender's folder.
      name: of the span.
    """
    calendar = Calendar.of(recipe.spans)
    number, last = calendar.number(name), SpanStore(home).last_run(name)
    if last is None or len(last) != len(name):  # days, where spans are hours now
        return []
    first = max(calendar.number(last) + 1, number - recipe.spans.window)
    return [calendar.name(n) for n in range(first, number)]


def having_rows(recipe: Recipe, key: str, input_dir: Path, home: Path, names: list[str]) -> list[str]:
    """Those spans of which the log has rows: a day on which nothing happened was not missed.

    Args:
      key: which private key there is, as `pipeline.private.key_id` tells it.
      input_dir: the folder that the sources' paths are below.

    Raises:
      DataError: a file is missing, or cannot be read.
    """
    calendar, index = Calendar.of(recipe.spans), SpanStore(home).index
    log = content(recipe.sources.log, recipe.roles.time, input_dir, "sources.log", calendar, index, key)
    there = set(log.spans)
    return [name for name in names if calendar.number(name) in there]
