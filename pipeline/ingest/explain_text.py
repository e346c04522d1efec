"""Dead letters for a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.ingest.explain import DeadKind, dead_kinds, find_letters

MAX_SHOWN = 2000


def explain(where: Path) -> Group:
    """A table of the kinds of dead letters, and below it the first letter of each.

    Raises:
      ValueError: there is no run, or what is there are no dead letters.
    """
    path = find_letters(where)
    kinds = dead_kinds(path) if path is not None else []
    if not kinds:
        why = "no row was dead" if path is not None else f"{where} has none: no data were read there"
        return Group(Text(f"no dead letters: {why}"))
    total = sum(kind.rows for kind in kinds)
    rows = "row" if total == 1 else "rows"
    parts: list[Any] = [Text(f"{path}: {total:,} dead {rows}"), _table(kinds, total)]
    for kind in kinds:
        parts += [
            Text(f"\n{kind.kind}", style="bold"),
            Text(f"{kind.file}, row {kind.position:,} ({kind.source}): {kind.reason}"),
            Text(_raw(kind.row)),
        ]
    return Group(*parts)


def _table(kinds: list[DeadKind], total: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("kind")
    table.add_column("source")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    table.add_column("first place")
    for kind in kinds:
        table.add_row(
            Text(kind.kind),
            Text(kind.source),
            f"{kind.rows:,}",
            f"{kind.rows / total:.1%}",
            Text(f"{kind.file}:{kind.position}"),
        )
    return table


def _raw(row: Any) -> str:
    text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
    if len(text) > MAX_SHOWN:
        return f"{text[:MAX_SHOWN]}… ({len(text):,} characters)"
    return text
