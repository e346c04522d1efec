"""`mtl models publish`."""

from pathlib import Path

import click

from pipeline.cli_types import THERE, examples


@click.command(epilog=examples("mtl models publish output/demo s3://shop/models/ranker"))
@click.argument("output", type=THERE)
@click.argument("uri")
def publish(output: Path, uri: str) -> None:
    """Copy the version that serves to URI (s3://, gs:// or hdfs://), where servers read it.

    OUTPUT is a recommender's folder, such as output/demo. A run does this by itself where its recipe has
    `serving.publish`; after `promote` and `rollback`, this does.
    """
    from pipeline.models import served_folders
    from pipeline.recipe.remote_checks import fault

    folders = served_folders(output)
    if len(folders) != 1:
        raise click.UsageError(f"{output} is not one recommender's folder with a pushed version")
    if said := fault(uri):
        hidden = said.startswith((uri, "has credentials"))  # which are not to be shown
        raise click.BadParameter(said if hidden else f"{uri} {said}", param_hint="URI")
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline import publish as publishing
    from pipeline.beam_pipeline import beam_options
    from pipeline.recipe import load

    # of the newest run, whose `beam.options` say how a store is reached
    recipe = folders[0].parent / "latest" / "recipe.yaml"
    options = beam_options(load(recipe)) if recipe.is_file() else PipelineOptions(["--runner=DirectRunner"])
    try:
        version, copied = publishing.publish(folders[0], uri, options)
    except publishing.CannotPublish as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{uri}: version {version} {'is there now' if copied else 'was there already'}")
