"""`mtl predict`: rows of a file, or whole logs, through a pushed model."""

import os
from pathlib import Path

import click

from pipeline.cli_types import FILE, examples, settings_option


@click.command(
    short_help="Score rows of a file, or logs, with a pushed model.",
    epilog=examples(
        "mtl predict --model output/demo/serving --input rows.csv",
        "mtl predict --server http://127.0.0.1:8501 --model demo --input rows.csv --output scores.parquet",
        "mtl predict --recipe data/demo/recipe.yaml --input demo-data --output scores-of-today",
    ),
)
@click.option(
    "--recipe",
    type=FILE,
    help="Reads --input as `mtl run` with this recipe would, on Beam, and writes a folder of Parquet files.",
)
@click.option(
    "--model",
    help="A SavedModel, or a folder of versions such as output/demo/serving; with --server, a name. With "
    "--recipe it may be left out: then what output/<name>/serving serves.",
)
@click.option("--server", metavar="URL", help="Of a server: http://HOST:PORT, or HOST:PORT for gRPC.")
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Rows to score: .jsonl, .csv or .parquet. With --recipe: the folder that its files are below, or "
    "one file in place of the log's.",
)
@click.option(
    "--output",
    "target",
    default="-",
    show_default=True,
    help="Where predictions go: a file, by its ending; - prints. With --recipe: a new folder.",
)
@click.option(
    "--private", is_flag=True, help="Hash private inputs, which the file has as they are, by MTL_PRIVATE_KEY."
)
@settings_option("beam.workers=4", "of --recipe")
def predict(
    recipe: Path | None,
    model: str | None,
    server: str | None,
    source: Path,
    target: str,
    private: bool,
    settings: tuple[str, ...],
) -> None:
    """Score rows with a pushed model: those of a file, from the model's files or by a server; or, with
    --recipe, whole logs in batches."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if model is not None and server is None and not Path(model).is_dir():
        raise click.BadParameter(f"there is no folder {model}", param_hint="--model")
    if recipe is not None:
        _predict_logs(recipe, model, server, source, target, private, settings)
        return
    if model is None or settings:
        raise click.UsageError("--set is of a recipe: give --recipe" if model else "give --model or --recipe")
    if source.is_dir():
        raise click.BadParameter(
            f"{source} is a folder; a file is scored, and logs with --recipe", param_hint="--input"
        )
    _predict_file(model, server, source, target, private)


def _predict_logs(
    recipe: Path,
    model: str | None,
    server: str | None,
    source: Path,
    target: str,
    private: bool,
    settings: tuple[str, ...],
) -> None:
    from pipeline.disk import NoRoom
    from pipeline.only_one import Busy
    from pipeline.predict import SCORES, CannotScore
    from pipeline.predict import predict as score

    if server is not None or private:
        raise click.UsageError(
            "--server is not for --recipe: logs are scored from the model's files"
            if server is not None
            else "--private is not for --recipe, which says itself what is private"
        )
    if target == "-":
        raise click.UsageError("--output must be a folder for --recipe")
    try:
        rows = score(recipe, Path(model) if model else None, source, Path(target), settings)
    except (Busy, NoRoom) as error:
        raise click.ClickException(str(error)) from None
    except CannotScore as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{Path(target) / SCORES}: {rows:,} rows")


def _predict_file(model: str, server: str | None, source: Path, target: str, private: bool) -> None:
    from pipeline import disk
    from pipeline.terminal import quiet
    from serving.client.errors import ServerError
    from serving.predict import PredictError, predict_on
    from serving.predict import predict as score

    if server is not None and private:
        raise click.UsageError(
            "--private needs the model's files, whose card says which inputs are private; a server's client "
            "hashes them by serving.private"
        )
    try:
        with quiet():
            if server:
                rows = predict_on(server, model, source, target)
            else:
                rows = score(Path(model), source, target, private)
    except ServerError as error:
        raise click.ClickException(f"{server}: {error}") from None
    except (PredictError, ValueError, OSError) as error:
        full = disk.full(error, Path(target).absolute().parent, "run again")
        if full:
            raise click.ClickException(full) from None
        if isinstance(error, OSError) and error.errno:
            raise click.UsageError(f"{error.filename or target}: {os.strerror(error.errno)}") from None
        raise click.UsageError(str(error)) from None
    if target != "-":
        click.echo(f"{target}: {rows:,} rows")
