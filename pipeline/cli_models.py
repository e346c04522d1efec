"""`mtl models`: versions that were pushed, and which serves."""

import sys
from pathlib import Path
from typing import Any

import click

from pipeline.cli_publish import publish
from pipeline.cli_types import THERE, examples


@click.group()
def models() -> None:
    """Look at the versions that were pushed, and say which serves."""


models.add_command(publish)
_REASON = click.option("--reason", default="", help="Why; kept in the audit log.")
_OUTPUT = click.argument("output", type=THERE)


@models.command("list", epilog=examples("mtl models list output/demo"))
@_OUTPUT
def list_models(output: Path) -> None:
    """List the versions that were pushed in OUTPUT, and what serves.

    OUTPUT is that of `mtl run`, or a recommender's folder in it, such as output/demo.
    """
    from rich.console import Console

    from pipeline.models import listing, served_folders

    folders = served_folders(output)
    if not folders:
        raise click.UsageError(_nothing_served(output))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for folder in folders:
        console.print(listing(folder))


@models.command(epilog=examples('mtl models promote output/demo 6 --reason "the last one known to be well"'))
@_OUTPUT
@click.argument("version", type=click.IntRange(min=1))
@_REASON
def promote(output: Path, version: int, reason: str) -> None:
    """Serve VERSION, and give it the label `stable`.

    OUTPUT is a recommender's folder, such as output/demo. An older version is published again under the next
    number, as TensorFlow Serving loads the highest.
    """
    from serving import releases

    folder = _one_served(output)
    try:
        change = releases.promote(folder, version, reason)
    except (releases.CannotServe, OSError) as error:
        raise click.ClickException(str(error)) from None
    if not change.changed:
        click.echo(f"{folder}: nothing to do: version {change.to}{_same(change)} serves and is stable")
    elif change.before == change.to:
        click.echo(f"{folder}: version {change.to}{_same(change)}, which serves, is stable now")
    else:
        _say(folder, change)


@models.command(epilog=examples('mtl models rollback output/demo --reason "clicks fell since noon"'))
@_OUTPUT
@_REASON
def rollback(output: Path, reason: str) -> None:
    """Serve again what served before; once more, further back.

    OUTPUT is a recommender's folder, such as output/demo. The version is published again under the next
    number, as TensorFlow Serving loads the highest.
    """
    from serving import releases

    folder = _one_served(output)
    try:
        change = releases.rollback(folder, reason)
    except (releases.CannotServe, OSError) as error:
        raise click.ClickException(str(error)) from None
    _say(folder, change)


def _say(folder: Path, change: Any) -> None:
    before = f"; before, version {change.before} did" if change.before is not None else ""
    click.echo(f"{folder}: version {change.to}{_same(change)} serves from now on{before}")


def _same(change: Any) -> str:
    return "" if change.of == change.to else f" (the model of version {change.of})"


def _one_served(output: Path) -> Path:
    from pipeline.models import served_folders

    folders = served_folders(output)
    if not folders:
        raise click.UsageError(_nothing_served(output))
    if len(folders) > 1:
        names = ", ".join(str(f.parent) for f in folders)
        raise click.UsageError(f"{output} holds several recommenders; give one of {names}")
    return folders[0]


def _nothing_served(output: Path) -> str:
    return (
        f"nothing was pushed below {output}: neither it nor [<name>/]serving in it has a version; give what "
        "`mtl run` had as --output, or a recommender's folder in it"
    )
