"""`mtl schedule`: files that make something else run a recipe day by day."""

import sys
from pathlib import Path

import click

from pipeline.cli_types import Folder, examples, recipe_argument, settings_option

_PLACE = click.Path(file_okay=False)  # of this machine, and for Vertex AI of a bucket


@click.command(
    short_help="Write what a scheduler needs to run RECIPE.",
    epilog=examples(
        "mtl schedule cron data/demo/recipe.yaml --input demo-data",
        'mtl schedule airflow data/demo/recipe.yaml --at "0 3 * * *" --to dags',
        "mtl schedule vertex data/demo/recipe.yaml --input gs://shop/logs --output gs://shop/runs "
        "--project shop --region europe-west4",
    ),
)
@click.argument("target", type=click.Choice(["cron", "systemd", "kubernetes", "airflow", "vertex"]))
@recipe_argument
@click.option(
    "--at",
    help="When, as cron writes it; in UTC, but for cron itself, which keeps the machine's zone. Left out: "
    '"0 2 * * *", and of spans that are hours "10 * * * *".',
)
@click.option("--input", "input_dir", type=_PLACE, help="As of `mtl run`; for Vertex AI gs://BUCKET/FOLDER.")
@click.option("--output", type=_PLACE, default="output", show_default=True, help="The same.")
@settings_option("training.epochs=3")
@click.option("--to", "folder", type=Folder(), default="schedule", show_default=True, help="Where files go.")
@click.option(
    "--image",
    default="mtl-recommender:0.1.0",
    show_default=True,
    help="Of Kubernetes and Vertex AI: what Dockerfile makes.",
)
@click.option("--project", help="Of Google Cloud, for Vertex AI.")
@click.option("--region", help="Of Vertex AI, such as europe-west4.")
@click.option(
    "--span",
    help="For Vertex AI, of the run that is compiled or submitted now. Left out, the newest that is over, and "
    "with --submit before it those that were missed.",
)
@click.option("--submit", is_flag=True, help="For Vertex AI: run it there now, and wait.")
def schedule(
    target: str,
    recipe: Path,
    at: str | None,
    input_dir: str | None,
    output: str,
    settings: tuple[str, ...],
    folder: Path,
    image: str,
    **of_vertex: str | bool | None,
) -> None:
    """Write what cron, systemd, Kubernetes, Airflow or Vertex AI needs to run RECIPE again and again.

    A refused model (exit code 3) is told apart from a run that broke, and one run is at work at a time. The
    comments at the top of each file say how to install it.
    """
    from pipeline.schedule.kubernetes import NotInContainer
    from pipeline.schedule.times import BadTime
    from pipeline.schedule.write import write

    if target == "vertex":
        given = [name for name in ("project", "region") if not of_vertex[name]]
        missing = [*(["input"] if input_dir is None else []), *given]
        if missing:
            raise click.UsageError(f"for vertex, --{' and --'.join(missing)} must be given")
        _vertex(recipe, at, input_dir, output, settings, folder, image, **of_vertex)
        return
    unused = [name for name, value in of_vertex.items() if value]
    if unused:
        raise click.UsageError(f"--{unused[0]} is for vertex, and this is {target}")
    try:
        made = write(
            target,
            recipe,
            _here("input_dir", input_dir) if input_dir else recipe.parent,
            _here("output", output),
            settings,
            at,
            folder,
            image,
        )
    except BadTime as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    except NotInContainer as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.BadParameter(f"{folder} cannot be written: {error.strerror}", param_hint="--to") from None
    for path in made:
        click.echo(path)


def _here(name: str, value: str) -> Path:
    context = click.get_current_context()
    [option] = [of for of in context.command.params if of.name == name]
    return Folder()(value, option, context)


def _vertex(
    file: Path,
    at: str | None,
    input_dir: str,
    output: str,
    settings: tuple[str, ...],
    folder: Path,
    image: str,
    project: str,
    region: str,
    span: str | None,
    submit: bool,
) -> None:
    from pipeline.distribution import one_process
    from pipeline.ingest.errors import DataError
    from pipeline.recipe import load
    from pipeline.recipe.schema_file import check_schema
    from pipeline.runners.buckets import NoBucket
    from pipeline.schedule import vertex, vertex_run
    from pipeline.schedule.job import usual_time
    from pipeline.schedule.times import BadTime, parse
    from pipeline.schedule.write import write_files
    from pipeline.spans.calendar import LAST, BadSpan

    recipe = load(file, settings)
    check_schema(recipe, file)
    one_process(recipe, file)
    if span and recipe.spans is None:
        raise click.BadParameter("the recipe has no `spans:`", param_hint="--span")
    job = vertex.VertexJob(recipe, file.resolve(), input_dir, output, settings, image, project, region)
    try:
        job.check()
        if submit:
            sys.exit(vertex_run.submit(job, span or LAST, click.echo))
        made = vertex.files(
            job, parse(usual_time(recipe) if at is None else at), vertex_run.now(job, span or LAST)
        )
    except BadTime as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    except BadSpan as error:
        raise click.BadParameter(str(error), param_hint="--span") from None
    except (NoBucket, vertex.NotOnVertex, DataError) as error:
        raise click.UsageError(str(error)) from None
    for path in write_files(made, folder):
        click.echo(path)
