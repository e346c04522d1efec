"""`mtl runs`: the runs of a recommender as things on a disk."""

import sys
from pathlib import Path

import click

from pipeline.cli_types import THERE, examples

_OUTPUT = click.argument("output", type=THERE)
_KEEP = click.option(
    "--keep", "last", type=click.IntRange(min=1), default=10, show_default=True, help="Runs kept at least."
)


@click.group()
def runs() -> None:
    """Look at the runs, and delete what none of them needs."""


@runs.command("list", short_help="List the runs.", epilog=examples("mtl runs list output/demo"))
@_OUTPUT
@_KEEP
def list_runs(output: Path, last: int) -> None:
    """List the runs in OUTPUT: how each ended, what it alone holds on the disk, and whether gc would keep it.

    OUTPUT is that of `mtl run`, or a recommender's folder in it, such as output/demo.
    """
    from pipeline.runs.listing import listing

    for home in _homes(output):
        _console().print(listing(home, last))


@runs.command(
    short_help="Show what the steps of a run left.", epilog=examples("mtl runs show output/demo/latest")
)
@click.argument("run_dir", metavar="RUN", type=THERE)
@_KEEP
def show(run_dir: Path, last: int) -> None:
    """Show what the steps of RUN, such as output/demo/latest, left, where, and how large."""
    from pipeline.runs.listing import showing

    try:
        _console().print(showing(run_dir, last))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@runs.command(
    short_help="Delete what is not needed.",
    epilog=examples("mtl runs gc output/demo --dry-run", "mtl runs gc output --keep 30"),
)
@_OUTPUT
@_KEEP
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted, and how much that is.")
def gc(output: Path, last: int, dry_run: bool) -> None:
    """Delete what is not needed in OUTPUT: runs but the last, what only they made, and old versions.

    Kept are what serves, is labelled or would serve after a roll-back, what the kept runs pushed, the
    runs that made any of these, and the spans that the next run trains on. OUTPUT is that of `mtl run`, or a recommender's folder in it. Where a run is
    at work nothing is touched, and the exit code is 1.
    """
    from pipeline.only_one import Busy
    from pipeline.runs.gc import Unneeded, collect

    busy = False
    for home in _homes(output):

        def tell(found: Unneeded, home: Path = home) -> None:
            click.echo("\n".join(found.sentences(home, dry_run)))

        try:
            collect(home, last, tell, dry_run)
        except Busy as error:
            busy = True
            click.echo(f"{home}: nothing was deleted: {error}", err=True)
    sys.exit(1 if busy else 0)


def _homes(output: Path) -> list[Path]:
    from pipeline.runs.homes import homes

    found = homes(output)
    if not found:
        raise click.UsageError(
            f"there are no runs below {output}: neither runs/ nor <name>/runs/ is in it; give what `mtl run` "
            "had as --output, or a recommender's folder in it"
        )
    return found


def _console():
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
