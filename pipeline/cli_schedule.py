"""`mtl schedule`: files that make something else run a recipe day by day."""

from pathlib import Path

import click

from pipeline.cli_types import Folder

_FOLDER = Folder()


@click.command(short_help="Write what a scheduler needs to run RECIPE.")
@click.argument("target", type=click.Choice(["cron", "systemd", "kubernetes", "airflow"]))
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--at",
    default="0 2 * * *",
    show_default=True,
    help="When, as cron writes it; in UTC, but for cron itself, which keeps the machine's zone.",
)
@click.option("--input", "input_dir", type=_FOLDER, help="As of `mtl run`.")
@click.option("--output", type=_FOLDER, default="output", show_default=True, help="As of `mtl run`.")
@click.option(
    "--set", "-s", "settings", multiple=True, metavar="KEY=VALUE", help="As of `mtl run`. Repeatable."
)
@click.option("--to", "folder", type=_FOLDER, default="schedule", show_default=True, help="Where files go.")
@click.option(
    "--image",
    default="mtl-recommender:0.1.0",
    show_default=True,
    help="Of Kubernetes: what Dockerfile makes.",
)
def schedule(
    target: str,
    recipe: Path,
    at: str,
    input_dir: Path | None,
    output: Path,
    settings: tuple[str, ...],
    folder: Path,
    image: str,
) -> None:
    """Write what cron, systemd, Kubernetes or Airflow needs to run RECIPE again and again.

    A refused model (exit code 3) is told apart from a run that broke, and one run is at work at a time. The
    comments at the top of each file say how to install it.
    """
    from pipeline.schedule.kubernetes import NotInContainer
    from pipeline.schedule.times import BadTime
    from pipeline.schedule.write import write

    try:
        made = write(target, recipe, input_dir or recipe.parent, output, settings, at, folder, image)
    except BadTime as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    except NotInContainer as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.BadParameter(f"{folder} cannot be written: {error.strerror}", param_hint="--to") from None
    for path in made:
        click.echo(path)
