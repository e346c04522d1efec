"""`mtl recipe`: a recipe checked, shown and begun, and its schema."""

import os
import sys
from pathlib import Path

import click

from pipeline.cli_types import examples, recipe_argument, settings_option


@click.group()
def recipe() -> None:
    """Begin a recipe, or look at one."""


@recipe.command(epilog=examples("mtl recipe check data/demo/recipe.yaml"))
@recipe_argument
@settings_option("training.epochs=3")
def check(recipe: Path, settings: tuple[str, ...]) -> None:
    """Say whether RECIPE is a recipe that can run, or everything that is wrong with it."""
    from pipeline.recipe import load
    from pipeline.recipe.schema_file import check_schema

    found = load(recipe, settings)
    check_schema(found, recipe)
    click.echo(
        f"{recipe}: fine. {found.name}: {len(found.tasks)} tasks ({', '.join(found.tasks)}), "
        f"{len(found.features)} features, {found.model.architecture.name} with "
        f"{found.weighting.name} weighting"
    )


@recipe.command(
    epilog=examples(
        "mtl recipe show data/demo/recipe.yaml",
        "mtl recipe show data/demo/recipe.yaml --set training.epochs=3",
    )
)
@recipe_argument
@settings_option("training.epochs=3")
def show(recipe: Path, settings: tuple[str, ...]) -> None:
    """Print RECIPE with every default written out."""
    from pipeline.recipe import load
    from pipeline.recipe.dump import resolved

    click.echo(resolved(load(recipe, settings)), nl=False)


@recipe.command(
    short_help="Look at data, and write a recipe for them.",
    epilog=examples(
        "mtl recipe init logs --out logs/recipe.yaml",
        "mtl recipe init logs users.csv 'events/*.jsonl' --name shop",
    ),
)
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="recipe.yaml",
    show_default=True,
    help="Where to write it.",
)
@click.option("--name", help="Of the recommender; its folder's name where left out.")
@click.option("--force", is_flag=True, help="Write over a recipe that is there.")
def init(data: tuple[str, ...], out: Path, name: str | None, force: bool) -> None:
    """Look at DATA (files, folders, patterns: a log, catalogs, event logs) and write a recipe for it."""
    if "" in data:
        raise click.BadParameter("a path is empty; . is the folder where you are", param_hint="DATA")
    if os.path.exists(out) and not force:
        raise click.UsageError(f"{out} is there already; --force writes over it, --out elsewhere")
    from rich.console import Console

    from pipeline.starter.start import start
    from pipeline.starter.summary import show as summarize

    found = start(list(data), out, name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from None
    summarize(
        found, out, Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)
    )


@recipe.command(epilog=examples("mtl recipe schema data/demo/recipe.yaml > data/demo/schema.pbtxt"))
@recipe_argument
def schema(recipe: Path) -> None:
    """Print the schema that RECIPE's columns make; keep it beside the recipe as schema.pbtxt."""
    from google.protobuf import text_format

    from pipeline.ingest.schema import schema_proto
    from pipeline.recipe import load

    click.echo(text_format.MessageToString(schema_proto(load(recipe))), nl=False)
