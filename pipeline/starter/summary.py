"""What `mtl recipe init` prints: sources, the guesses that matter most, warnings, next commands."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from pipeline.starter.start import Start
from pipeline.starter.tables import Table


def show(found: Start, out: Path, console: Console) -> None:
    """Prints it."""
    draft, sources = found.draft, found.draft.sources
    grid = Grid(box=None, pad_edge=False, header_style="")
    for name in ("source", "is", "files", "rows", "columns", "joined by"):
        grid.add_column(
            name, no_wrap=True, justify="right" if name in ("files", "rows", "columns") else "left"
        )
    _row(grid, sources.log, "log", "")
    for c in sources.catalogs:
        _row(grid, c.table, "catalog", f"{c.on.name} ({c.matched:.0%} found)")
    for e in sources.events:
        _row(grid, e.table, "events", ", ".join(e.keys))
    console.print(grid)
    console.print()
    roles = ", ".join(f"{role} {f.name}" for role, (f, _) in draft.roles.items())
    console.print(f"roles:  {roles or 'none'}")
    tasks = [f"{o.name}" + (f" (where {o.parent.condition})" if o.parent else "") for o in draft.tasks]
    tasks += [f"{t.name} (events)" for t in draft.event_tasks]
    console.print(f"tasks:  {', '.join(tasks)}")
    rare = [o.name for o in draft.outcomes if o.refused]
    if rare:
        console.print(f"        proposed in comments: {', '.join(rare)}")
    console.print(f"split:  {', '.join(draft.split.lines)}")
    for warning in found.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    guesses = found.text.count("# guess:") - 1
    console.print(f"\n{escape(str(out))}: written and checked; {guesses} guesses are marked in it. Next:")
    console.print(f"  confirm the guesses in {escape(str(out))}", markup=False)
    console.print(f"  mtl recipe check {out}", markup=False)
    console.print(f"  mtl recipe schema {out} > {out.with_name('schema.pbtxt')}", markup=False)
    console.print(f"  mtl run {out} --input {found.input_dir}", markup=False)


def _row(grid: Grid, table: Table, kind: str, joined: str) -> None:
    exact = table.sample.whole or table.group.format == "parquet"
    rows = f"{'' if exact else 'about '}{table.sample.total:,}" + (
        "" if table.sample.whole else f" ({table.rows:,} read)"
    )
    grid.add_row(table.name, kind, f"{len(table.group.paths):,}", rows, str(len(table.fields)), joined)
