"""`mtl evaluate`: a SavedModel on test rows, with the report that a run writes, and nothing else."""

import contextlib
import datetime
import os
import shutil
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import memory, terminal
from pipeline.job_service import check_job_service
from pipeline.private import key_id
from pipeline.recipe import Recipe, load
from pipeline.recipe.dump import resolved
from pipeline.remote_files import files_for_once
from pipeline.scratch import scratch
from serving.versions import saved_model

PASSED, REFUSED = 0, 3
EVALUATIONS = "evaluations"
_TEST = "Split-test"


class CannotEvaluate(Exception):
    """There is no model there, or no data, or the one does not fit the other; says what would do."""


def evaluate(
    recipe_file: Path, model: Path, input_dir: Path, output: Path, settings: Sequence[str] = ()
) -> int:
    """Evaluates a model and returns the exit code: 3 where a gate of the recipe says no, else 0.

    Writes into `OUTPUT/<name>/evaluations/<time>`: report/ as a run has it, scores.parquet, metrics.parquet,
    reliability.parquet, recipe.yaml and log.txt; examples/ too where `input_dir` holds logs.

    Args:
      recipe_file: names tasks, roles, slices and gates, and says how logs become examples.
      model: a SavedModel whose signature `serve_examples` has an output a task, or a folder of versions, of
        which the one that serves is taken.
      input_dir: examples as ingestion writes them (such as a run's `examples`), known by their `Split-test`;
        else the folder that the recipe's files are below, which are ingested first. Either way the test split
        is evaluated, and training's rows say which users and items are new.
      output: see above.
      settings: of the recipe, `key=value`.

    Raises:
      RecipeError: the recipe is wrong, there is no key for its private columns, or no job service where it
        says.
      CannotEvaluate: see there.
      DataError: the logs cannot be used.
    """
    recipe = load(recipe_file, settings)
    saved = _saved_model(model)
    check_job_service(recipe, recipe_file)
    _check_examples(input_dir)
    if not (input_dir / _TEST).is_dir():
        key_id(recipe, recipe_file)
    started = datetime.datetime.now(datetime.UTC)
    folder = _new_folder(output.resolve() / recipe.name / EVALUATIONS, started)
    (folder / "recipe.yaml").write_text(resolved(recipe))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with scratch(output / recipe.name), terminal.chatter_to(folder / "log.txt") as console:
        console.print(
            f"{recipe.name}: evaluating {terminal.shown(saved)} into {terminal.shown(folder)}", markup=False
        )
        try:
            metrics = _evaluate(console, recipe, saved, input_dir, folder, started)
        except CannotEvaluate:
            shutil.rmtree(folder)
            raise
        except Exception:
            traceback.print_exc()
            console.print(f"log:     {folder / 'log.txt'}", markup=False)
            raise
        from pipeline.report.summary import summary

        console.print(summary(metrics))
        console.print(f"report:  {terminal.shown(folder / 'report' / 'index.html')}", markup=False)
    return REFUSED if any(gate["status"] == "failed" for gate in metrics["gates"]) else PASSED


def _saved_model(model: Path) -> Path:
    try:
        return saved_model(model).resolve()
    except ValueError as error:
        raise CannotEvaluate(f"--model: {error}") from None


def _check_examples(input_dir: Path) -> None:
    """Examples without training's rows would make every user and item a new one."""
    if (input_dir / _TEST).is_dir() and not any((input_dir / "Split-train").glob("*")):
        raise CannotEvaluate(
            f"--input: {input_dir} has {_TEST} but no Split-train, which says what users and items are new; "
            "give the whole folder of examples, or the logs"
        )


def _new_folder(evaluations: Path, started: datetime.datetime) -> Path:
    base = started.strftime("%Y%m%dT%H%M%SZ")
    names = (base, *(f"{base}-{i}" for i in range(2, 100)))
    try:
        evaluations.mkdir(parents=True, exist_ok=True)
        for name in names:
            with contextlib.suppress(FileExistsError):  # another began in the same second
                (evaluations / name).mkdir()
                return evaluations / name
    except OSError as error:
        raise CannotEvaluate(f"--output: {evaluations} cannot be written: {error.strerror}") from None
    raise CannotEvaluate(f"--output: 100 evaluations began in one second in {evaluations}")


def _evaluate(
    console: Console, recipe: Recipe, model: Path, input_dir: Path, folder: Path, started: datetime.datetime
) -> dict[str, Any]:
    seconds, held = {}, {}

    def done(step: str, begin: float) -> None:
        seconds[step] = round(time.perf_counter() - begin, 2)
        if (most := memory.peak()) is not None:
            held[step] = most
        console.print(f"{step} {seconds[step]:.1f} s", markup=False)
        memory.restart_peak()

    memory.restart_peak()
    begin = time.perf_counter()
    from pipeline.beam_pipeline import beam_options
    from pipeline.evaluation.evaluate_model import evaluate_model
    from pipeline.evaluation.gates import Gate, judge_all
    from pipeline.examples import UnusableExamples
    from pipeline.report.facts import RunFacts
    from pipeline.report.versions import package_versions
    from pipeline.report.write import write_report
    from pipeline.watch.gates import VectorGate, not_watched

    _check_outputs(recipe, model)
    done("start", begin)
    rows, examples = None, input_dir
    if not (input_dir / _TEST).is_dir():
        begin = time.perf_counter()
        examples = folder / "examples"
        rows = _ingest(recipe, input_dir, examples)
        done("Ingest", begin)
    begin = time.perf_counter()
    try:
        evaluated = evaluate_model(
            recipe, str(examples), str(model), None, folder, recipe.gated_slices, beam_options(recipe)
        )
    except UnusableExamples as error:
        raise CannotEvaluate(f"--input: {error}") from None
    done("Evaluate", begin)
    gates = [Gate(**gate.model_dump()) for gate in recipe.metric_gates]
    vector_gates = [VectorGate(**gate.model_dump()) for gate in recipe.vector_gates]
    facts = RunFacts(
        recipe=recipe.name,
        run=folder.name,
        status="evaluated",
        reason=f"{model} on the test rows of {input_dir.absolute()}; nothing was to be pushed",
        started=started.isoformat(timespec="seconds"),
        kinds={n: t.kind for n, t in recipe.tasks.items()},
        rows=rows,
        table=evaluated.table,
        reliability=evaluated.reliability.to_pylist(),
        verdicts=[*judge_all(gates, evaluated.table), *not_watched(vector_gates)],
        seconds=seconds | {"total": round(sum(seconds.values()), 2)},
        memory=held,
        versions=package_versions(),
        recipe_text=resolved(recipe),
    )
    return write_report(facts, folder / "report")


def _check_outputs(recipe: Recipe, model: Path) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        content = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
        signatures = content.meta_graphs[0].signature_def
    except (DecodeError, IndexError):
        raise CannotEvaluate(f"--model: {model / 'saved_model.pb'} is broken or cut off") from None
    if "serve_examples" not in signatures:
        there = ", ".join(sorted(n for n in signatures if not n.startswith("__"))) or "none"
        raise CannotEvaluate(
            f"--model: {model} has no signature serve_examples, which takes serialized tf.Examples as "
            f"`examples` and gives an output a task; its signatures are {there}"
        )
    outputs = signatures["serve_examples"].outputs
    missing = [task for task in recipe.tasks if task not in outputs]
    if missing:
        raise CannotEvaluate(
            f"--model: serve_examples of {model} has no output {', '.join(missing)}, which the recipe has as "
            f"a task; its outputs are {', '.join(sorted(outputs))}"
        )


def _ingest(recipe: Recipe, input_dir: Path, examples: Path) -> Any:
    from pipeline.beam_pipeline import beam_pipeline
    from pipeline.ingest.explain import DEAD_LETTERS
    from pipeline.ingest.run import ingest
    from pipeline.report.counted import row_counts

    examples.mkdir()
    with files_for_once(recipe, input_dir) as files:
        counts = ingest(recipe, files, examples, beam_pipeline(recipe), dead_dir=examples.parent)
    return row_counts(counts, examples.parent / DEAD_LETTERS)
