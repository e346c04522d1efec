"""The command `mtl`. Thin: TensorFlow, TFX and Arrow are imported only by the command that needs them.

Exit codes: 0 blessed and pushed (or nothing to do), 3 a gate said no, 2 bad recipe or arguments,
4 bad data, 1 anything else.
"""

import sys
from pathlib import Path

import click

from pipeline.cli_data import data
from pipeline.cli_models import models
from pipeline.cli_predict import predict
from pipeline.cli_recipe import recipe
from pipeline.cli_runs import runs
from pipeline.cli_schedule import schedule
from pipeline.cli_types import (
    THERE,
    Folder,
    examples,
    input_option,
    output_option,
    recipe_argument,
    settings_option,
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 blessed and pushed, or nothing to do; 3 a gate said no; 2 bad recipe or "
        "arguments; 4 bad data; "
        '1 anything else. Shell completion: eval "$(_MTL_COMPLETE=bash_source mtl)" (or '
        "zsh_source, fish_source)."
    ),
)
def mtl() -> None:
    """Multi-task recommenders from logs to TensorFlow Serving: one recipe, one run, one verdict."""


mtl.add_command(data)
mtl.add_command(models)
mtl.add_command(predict)
mtl.add_command(recipe)
mtl.add_command(runs)
mtl.add_command(schedule)


@mtl.command(
    short_help="Run RECIPE: logs in, a judged and served model out.",
    epilog=examples(
        "mtl run data/demo/recipe.yaml --input demo-data",
        "mtl run data/demo/recipe.yaml --input demo-data --set training.epochs=3 --no-cache",
        "mtl run data/demo/recipe.yaml --input demo-data --span last --catch-up",
        "mtl run data/demo/recipe.yaml --input demo-data --from 2024-03-04 --to 2024-03-06",
    ),
)
@recipe_argument
@input_option
@output_option("Where runs and models go.")
@click.option(
    "--no-cache", is_flag=True, help="Run every step, also where nothing it depends on has changed."
)
@settings_option("training.epochs=3")
@click.option(
    "--span",
    metavar="SPAN",
    help="Run one day or hour: ingest it, train on those before, test on it. 2022-05-02, 2022-05-02T13, or "
    "last: the newest that is over.",
)
@click.option(
    "--catch-up",
    is_flag=True,
    help="With --span: before it those that were missed, in order, since the last whose run came to an end.",
)
@click.option("--from", "first", metavar="SPAN", help="With --to: run all these spans, one after another.")
@click.option("--to", "last", metavar="SPAN", help="The last of them.")
def run(
    recipe: Path,
    input_dir: Path | None,
    output: Path,
    no_cache: bool,
    settings: tuple[str, ...],
    span: str | None,
    catch_up: bool,
    first: str | None,
    last: str | None,
) -> None:
    """Run RECIPE: ingest, check, train, evaluate, judge, push, report."""
    if span == "":
        raise click.BadParameter("it is empty: leave --span out to run all there is", param_hint="--span")
    if (first is None) != (last is None) or (span is not None and first is not None):
        raise click.UsageError("give --span, or --from and --to, or none of them")
    if catch_up and span is None:
        raise click.UsageError("--catch-up is of --span: it runs the spans before it that were missed")
    from pipeline import run as runner
    from pipeline.disk import NoRoom
    from pipeline.only_one import Busy
    from pipeline.spans.calendar import BadSpan

    given = (recipe, input_dir or recipe.parent, output, settings, not no_cache)
    try:
        if first is not None:
            sys.exit(runner.run_spans(*given, first, last))
        if catch_up:
            sys.exit(runner.run_missed(*given, span))
        sys.exit(runner.run(*given, span or ""))
    except BadSpan as error:
        raise click.BadParameter(str(error), param_hint="--from, --to" if first else "--span") from None
    except (Busy, NoRoom) as error:
        raise click.ClickException(str(error)) from None
    except runner.BadOutput as error:
        raise click.UsageError(str(error)) from None


@mtl.command(
    short_help="Make the vectors of RECIPE's pictures and texts.",
    epilog=examples("mtl encode data/demo_content/recipe.yaml --input demo-data"),
)
@recipe_argument
@input_option
@output_option("As of `mtl run`.")
@settings_option("beam.workers=4")
def encode(recipe: Path, input_dir: Path | None, output: Path, settings: tuple[str, ...]) -> None:
    """Make the vectors of RECIPE's pictures and texts, as `mtl run` does before it joins them.

    Each content is encoded once: what an earlier run has made is kept. Ctrl-C, and the same command goes on.
    """
    from pipeline import encode as encoding

    try:
        sys.exit(encoding.run(recipe, input_dir or recipe.parent, output, settings))
    except encoding.CannotEncode as error:
        raise click.UsageError(str(error)) from None


@mtl.command(
    short_help="Train RECIPE on a run's transformed examples.",
    epilog=examples(
        "mtl train data/demo/recipe.yaml --from output/demo/latest",
        "mtl train data/demo/recipe.yaml --from output/demo/latest --set weighting.name=uncertainty",
    ),
)
@recipe_argument
@click.option(
    "--from",
    "run_dir",
    type=THERE,
    required=True,
    help="A run's folder, such as output/demo/latest, whose transformed examples are trained on.",
)
@click.option(
    "--output",
    type=Folder(),
    help="Where the model goes; beside the runs, in a folder named by settings and data, where left out.",
)
@settings_option("training.epochs=3")
def train(recipe: Path, run_dir: Path, output: Path | None, settings: tuple[str, ...]) -> None:
    """Train RECIPE on a run's transformed examples, and say what it beats.

    Model, weighting, training, and the tasks' losses may differ from the run's recipe. Ctrl-C leaves the best
    model so far; the same command goes on from there. With training.distribution=multi_worker start it once
    for each worker, each with its TF_CONFIG.
    """
    from pipeline import train as trainer

    try:
        sys.exit(trainer.train(recipe, run_dir, output, settings))
    except trainer.CannotTrain as error:
        raise click.UsageError(str(error)) from None


@mtl.command(
    short_help="Say whether sharing helps, beside one model a task.",
    epilog=examples(
        "mtl compare data/demo/recipe.yaml",
        "mtl compare data/demo/recipe.yaml --architectures hard_sharing,ple --seeds 5",
    ),
)
@recipe_argument
@click.option(
    "--from",
    "run_dir",
    type=THERE,
    help="A run's folder, whose examples are used; the newest below --output that fits where left out.",
)
@output_option("Where runs are.")
@click.option("--architectures", default="", metavar="A,B", help="Try the recipe with each of these too.")
@click.option("--weightings", default="", metavar="X,Y", help="Try the recipe with each of these too.")
@click.option("--seeds", type=click.IntRange(min=2), default=3, show_default=True, help="Trainings of each.")
@settings_option("training.epochs=3")
def compare(
    recipe: Path,
    run_dir: Path | None,
    output: Path,
    architectures: str,
    weightings: str,
    seeds: int,
    settings: tuple[str, ...],
) -> None:
    """Say whether sharing helps: RECIPE and its variants against one model a task, judged on test.

    All are trained alike on a run's examples. What is trained is kept: Ctrl-C, and the same command goes on.
    """
    from pipeline.compare import compare as comparison
    from pipeline.compare.variants import CannotCompare
    from pipeline.only_one import Busy

    names = [[n.strip() for n in given.split(",") if n.strip()] for given in (architectures, weightings)]
    try:
        code = comparison.compare(
            recipe,
            run_dir,
            output,
            architectures=names[0],
            weightings=names[1],
            seeds=seeds,
            settings=settings,
        )
    except Busy as error:
        raise click.ClickException(str(error)) from None
    except CannotCompare as error:
        raise click.UsageError(str(error)) from None
    sys.exit(code)


@mtl.command(
    short_help="Search the weights of a run's score.",
    epilog=examples(
        "mtl fuse output/demo/latest",
        "mtl run data/demo/recipe.yaml --input demo-data --set @output/demo/latest/fuse/patch.yaml",
    ),
)
@click.argument("run_dir", metavar="RUN", type=THERE)
@settings_option("fuse.seed=2", "of the run's recipe")
def fuse(run_dir: Path, settings: tuple[str, ...]) -> None:
    """Search the weights of RUN's score for what the recipe's `fuse` wants, on validation requests.

    Shows the Pareto front and writes the chosen weights as a patch of the recipe, for `mtl run --set @FILE`.
    Exits 3 where no weights keep the bounds.
    """
    from pipeline.fuse import fuse as fusion
    from pipeline.fuse.validation import CannotFuse

    try:
        sys.exit(fusion.fuse(run_dir, settings))
    except CannotFuse as error:
        raise click.UsageError(str(error)) from None


@mtl.command(
    short_help="Measure and judge a SavedModel on test rows.",
    epilog=examples(
        "mtl evaluate data/demo/recipe.yaml --model output/demo/serving --input demo-data",
        "mtl evaluate data/demo/recipe.yaml --model model/1 --input output/demo/latest/examples",
    ),
)
@recipe_argument
@click.option(
    "--model",
    type=THERE,
    required=True,
    help="A SavedModel, or a folder of versions such as output/demo/serving.",
)
@click.option(
    "--input",
    "input_dir",
    type=THERE,
    required=True,
    help="Logs as RECIPE reads them, or examples such as output/demo/latest/examples.",
)
@output_option("Where the report goes.")
@settings_option("splits.test_from=2024-03-12", "")
def evaluate(recipe: Path, model: Path, input_dir: Path, output: Path, settings: tuple[str, ...]) -> None:
    """Measure a SavedModel on the test rows of some data, judge it by RECIPE's gates, and write the report.

    Nothing is trained or pushed.
    """
    from pipeline import evaluate as evaluation

    try:
        sys.exit(evaluation.evaluate(recipe, model, input_dir, output, settings))
    except evaluation.CannotEvaluate as error:
        raise click.UsageError(str(error)) from None


@mtl.command(
    short_help="Print what a run came to, or write an index over runs.",
    epilog=examples("mtl report output/demo/latest", "mtl report output"),
)
@click.argument("where", type=THERE)
def report(where: Path) -> None:
    """Print what the run in WHERE (such as output/demo/latest) came to; of a folder of runs (such as output),
    write an index of all with their metrics over time."""
    path = where / "report" / "metrics.json"
    if path.is_file():
        _print_run(path)
    else:
        _write_index(where)


def _print_run(path: Path) -> None:
    from rich.console import Console

    from pipeline.report.form import read
    from pipeline.report.summary import summary

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        metrics = read(path)
    except ValueError as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None
    console.print(summary(metrics))
    console.print(f"report:  {path.with_name('index.html')}", markup=False)


def _write_index(folder: Path) -> None:
    from pipeline.report.history import recommenders
    from pipeline.report.index import write_index

    found = recommenders(folder)
    if not found:
        raise click.UsageError(
            f"{folder} is neither a run (it has no report/metrics.json) nor a folder of runs (nothing below "
            "it is [<name>/]runs/<run>/report/metrics.json)"
        )
    for of in found:
        newest = of.runs[-1] if of.runs else of.evaluations[-1]
        said = newest.content["status"] if newest.content else newest.problem
        click.echo(
            f"{of.name}: {len(of.runs)} run(s), {len(of.evaluations)} evaluation(s); {newest.name}: {said}"
        )
    click.echo(f"index:   {write_index(folder, found)}")


@mtl.command(
    short_help="Serve pushed versions in TensorFlow Serving's protocol.",
    epilog=examples(
        "mtl serve output/demo/serving",
        "mtl serve output/demo/serving --label canary=4 --log-requests requests --sample 0.1",
    ),
)
@click.argument("folder", metavar="DIR", type=THERE)
@click.option("--name", default="", help="Of the model in requests; the recommender's where left out.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0 is all of them.")
@click.option("--rest-port", type=click.IntRange(0, 65535), default=8501, show_default=True, help="0: any.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=8500, show_default=True, help="0: any.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VERSION", help="A version by a name. Repeatable."
)
@click.option(
    "--all-versions", is_flag=True, help="Load all, not only the one that serves and those labelled."
)
@click.option("--max-body", type=click.FloatRange(min=0.001), default=16, show_default=True, help="MiB.")
@click.option("--max-rows", type=click.IntRange(min=1), default=20_000, show_default=True, help="A request.")
@click.option("--max-requests", type=click.IntRange(min=1), default=128, show_default=True, help="At once.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.001), default=30, show_default=True, help="Seconds a request."
)
@click.option(
    "--log-requests", type=click.Path(file_okay=False, path_type=Path), help="Folder for a log of requests."
)
@click.option(
    "--sample", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Share of them logged."
)
def serve(
    folder: Path,
    name: str,
    host: str,
    rest_port: int,
    grpc_port: int,
    labels: tuple[str, ...],
    all_versions: bool,
    max_body: float,
    max_rows: int,
    max_requests: int,
    timeout: float,
    log_requests: Path | None,
    sample: float,
) -> None:
    """Serve the versions in DIR, such as output/demo/serving, in TensorFlow Serving's protocol (REST, gRPC).

    For laptops and tests. The version that DIR/CURRENT names answers, and is labelled `stable`; a push or a
    rollback takes effect within seconds. TensorFlow Serving itself is used where it is here: a
    tensorflow_model_server on the PATH (with --host 0.0.0.0), or Docker with its image.
    """
    from pipeline.terminal import quiet
    from serving.server.limits import Limits
    from serving.server.run import CannotServe
    from serving.server.run import serve as serve_folder

    by_label: dict[str, int] = {}
    for given in labels:
        label, _, version = given.partition("=")
        if not (label and version.isdecimal()) or set(label) & set("/:"):
            raise click.BadParameter(f"{given!r} is not NAME=VERSION, such as canary=4", param_hint="--label")
        by_label[label] = int(version)
    limits = Limits(body=int(max_body * (1 << 20)), rows=max_rows, seconds=timeout, concurrency=max_requests)
    log = (log_requests, sample) if log_requests else None
    try:
        code = serve_folder(
            folder, name, host, rest_port, grpc_port, by_label, all_versions, limits, log, click.echo, quiet
        )
    except CannotServe as error:
        raise click.UsageError(str(error)) from None
    sys.exit(code)


def main() -> None:
    """Runs the command; a wrong recipe prints its mistakes and exits 2."""
    try:
        mtl(standalone_mode=True)
    except Exception as error:
        if type(error).__name__ not in ("RecipeError", "DataError"):
            raise
        click.echo(str(error), err=True)
        sys.exit(2 if type(error).__name__ == "RecipeError" else 4)
