"""`mtl data`: the demo's world, and rows that were not used."""

from pathlib import Path

import click

from pipeline.cli_types import Folder, examples


@click.group()
def data() -> None:
    """Make data, and look at what was not used."""


@data.command(
    short_help="Say why rows were not used.",
    epilog=examples("mtl data explain output/demo", "mtl data explain output/demo/latest"),
)
@click.argument("where", type=click.Path(exists=True, path_type=Path))
def explain(where: Path) -> None:
    """Say why rows of WHERE were not used: a run's folder, a recommender's (such as output/demo), or a
    dead_letters.jsonl."""
    from rich.console import Console

    from pipeline.ingest.explain_text import explain as explained

    try:
        Console(highlight=False, soft_wrap=True).print(explained(where))
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None


@data.command(
    epilog=examples("mtl data demo --out demo-data", "mtl data demo --out drifted --days 20 --drift unit:18")
)
@click.option("--out", type=Folder(), required=True, help="Where to write it.")
@click.option("--rows", type=click.IntRange(min=1), default=200_000, show_default=True, help="Impressions.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Equal seeds, equal data."
)
@click.option(
    "--content-effect",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="How much only pictures and texts show.",
)
@click.option(
    "--relation",
    type=click.Choice(["related", "synergy", "conflict", "independent"]),
    default="related",
    show_default=True,
    help="Of the tasks' tastes; the others than related plant what `mtl compare` should find.",
)
@click.option(
    "--new-items",
    type=click.FloatRange(min=0, max=0.9),
    default=0.0,
    show_default=True,
    help="Share of the items that are shown from the ninth day on alone.",
)
@click.option(
    "--days", type=click.IntRange(min=10), default=10, show_default=True, help="From 2024-03-04 on."
)
@click.option(
    "--drift",
    metavar="KIND[:DAY]",
    help="Plant what a drift gate should find: unit, ids, label or encoder, from a day on (from 1; the last).",
)
def demo(
    out: Path,
    rows: int,
    seed: int,
    content_effect: float,
    relation: str,
    new_items: float,
    days: int,
    drift: str | None,
) -> None:
    """Write the demo's world: days of impressions whose true propensities are known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from pipeline.demo import generate, parse

    with Progress(
        "impressions",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=rows)
        try:
            summary = generate(
                out,
                rows,
                seed,
                content_effect,
                relation,
                new_items,
                lambda done: bar.update(task, completed=done),
                days,
                parse(drift, days) if drift is not None else None,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.BadParameter(
                f"{error.filename or out} cannot be written: {error.strerror}", param_hint="--out"
            ) from None
    click.echo(f"{out}: {summary.rows:,} impressions of {summary.items:,} items by {summary.users:,} users")
