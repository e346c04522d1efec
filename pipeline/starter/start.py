"""`mtl recipe init`: from paths to a checked recipe and what to tell its reader."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.ingest.errors import DataError
from pipeline.recipe.load import loads
from pipeline.recipe.model import Recipe
from pipeline.starter.draft import Draft, draft
from pipeline.starter.files import find
from pipeline.starter.names import recipe_name
from pipeline.starter.tables import look
from pipeline.starter.write import recipe_text


@dataclass
class Start:
    """Attributes:
    text: the recipe, which loads.
    recipe: the same, loaded.
    draft: what it was written from.
    input_dir: the folder that its paths are below.
    warnings: sentences for the reader.
    """

    text: str
    recipe: Recipe
    draft: Draft
    input_dir: Path
    warnings: list[str] = field(default_factory=list)


def start(data: list[str], out: Path, name: str | None = None) -> Start:
    """Looks at data and drafts a recipe. Reads a bounded sample of each source and writes nothing.

    Args:
      data: files, folders and patterns.
      out: where the recipe is going to be, for the command in its comment.
      name: of the recommender; that of the folder where left out.

    Raises:
      DataError: nothing can be read, no source is a log, or the log has no outcome.
      RecipeError: `name` is none that a recipe allows.
    """
    groups, empty = find(data)
    root = groups[0].root
    found = draft([look(group) for group in groups], root, name or recipe_name(root.name or "recommender"))
    if not found.tasks and not found.event_tasks:
        raise DataError(_no_outcome(found))
    if not found.features:
        why = "; ".join(f"{column}: {reason}" for column, reason in found.left_out.items())
        raise DataError(f"{found.log.name}: no column is left to be a feature ({why or 'all are outcomes'})")
    shown = Path(os.path.relpath(root))
    text = recipe_text(found, f"mtl run {out} --input {shown}")
    told = [f"{path}: not read; it holds no rows" for path in empty] + _warnings(found)
    return Start(text, loads(text, str(out)), found, shown, told)


def _no_outcome(found: Draft) -> str:
    log = ", ".join(found.log.group.patterns)
    rare = "; ".join(f"{o.field.column} ({o.refused})" for o in found.outcomes if o.refused)
    if rare:
        return (
            f"{log}: taken as the log, and its outcomes are too rare for a first recipe: {rare}. Give more "
            f"rows (there are {found.log.sample.total:,}), or write `tasks:` by hand"
        )
    two = [f.column for f in found.log.fields.values() if f.binary or f.outcome_text is not None]
    told = (
        f" Two values are in {', '.join(two[:5])}: if it is one of these, put it last or give"
        if two
        else " Give"
    )
    return (
        f"{log}: taken as the log, and no column of it reads as an outcome: "
        "0 and 1, or yes and no, named in English like what it says (click, converted, label, ...) or the last "
        "column."
        f"{told} it such a name, or write `tasks:` by hand"
    )


def _warnings(found: Draft) -> list[str]:
    told = [
        f"leak: {leak.source}.{leak.field.column} {leak.why}; written as known after, never a feature"
        for leak in found.leaks
    ]
    told += [f"{name}: not used; {why}" for name, why in found.sources.unused.items()]
    told += [
        f"{c.table.name}: has a row for each row of the log, so most likely from after it: known after"
        for c in found.sources.catalogs
        if c.one_to_one
    ]
    if found.sources.events and not found.event_tasks:
        told.append("event logs are not used: the log has no time to join them by")
    for table in [
        found.log,
        *(c.table for c in found.sources.catalogs),
        *(e.table for e in found.sources.events),
    ]:
        told += [f"{table.name}.{column}: not read; {why}" for column, why in table.unread.items()]
        if broken := table.sample.broken:
            lines = table.rows + broken
            of = (
                "JSON objects"
                if table.group.format == "jsonl"
                else f"rows of {len(table.group.columns)} fields"
            )
            told.append(f"{table.name}: {broken:,} of {lines:,} lines are no {of}: dead letters of a run")
    if (repeats := found.unique[1]) > 0:
        told.append(
            f"{found.log.name}: {repeats:,} of {found.log.rows:,} rows looked at repeat another on "
            f"({', '.join(found.unique[0])}) and will be dropped"
        )
    told += [
        f"{join.table.name}: knows {join.matched:.0%} of the log's {join.on.name} seen"
        for join in found.sources.catalogs
        if join.matched < 0.95
    ]
    return told
