"""What a warm start saves and loses beside a full retrain, on KuaiRand's days one after another.

    python benchmarks/warm_start.py --input FOLDER [--output FOLDER] [--seeds N]

Every day is ingested as its span. A first model is trained on the days before `trained_first`; on each day
after it one model is trained from nothing on its rolling window ("full"), and one goes on from the day
before's as `training.warm_start` does by default ("warm"), so that in the end it has gone on as many times as
there are days. All three are judged on the day itself, and so is the first model as it was ("first").

The steps up to the trainer are the pipeline's own, with the model of the day before as the one that serves;
then each training is what the trainer's step calls, with what the pipeline gives it, in a process of its own
that reads the day's test rows first. Its processor-seconds are compared, since a clock on a machine that does
other work tells of that work too: of fitting (building, epochs, validation, calibration) and of the whole
step, with reading and the export of the SavedModel, which is as much work for few rows as for many. The two
of a day follow each other. Bars are in warm_start.json: what all warm starts cost over what all full retrains
do, and for each task the mean over days and seeds of what AUC is lost; exits 1 where one is missed. What is
in OUTPUT is not made again: a benchmark that was interrupted goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.recipe import Recipe, load
from pipeline.spans.calendar import span_range

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
RECIPE = Path(__file__).resolve().parents[1] / "data/kuairand/recipe.yaml"
SETTINGS = ("training.warm_start={}", "spans.drift=null")
MADE = {  # step and output -> its link in the folder of a day and a way
    ("Window", "examples"): "examples",
    ("BuildVocabularies", "vocabularies"): "vocabularies",
    ("Transform", "transform_graph"): "transform_graph",
    ("Transform", "transformed_examples"): "transformed_examples",
}
WAYS = ("full", "warm")
COSTS = {"fitting": "fit_cpu", "step": "cpu", "step by the clock": "wall"}
TOLD = "trainer.json"  # what the pipeline gives the trainer; written last


def prepare(data: Path, output: Path) -> None:
    """Ingests the days, and runs the pipeline of each day and way up to its trainer."""
    from pipeline.pipeline import create_pipeline
    from pipeline.plan import make_plan
    from pipeline.runners.local import Step, StepFailed, run_steps
    from pipeline.span_run import ingest_spans, shown
    from pipeline.warm_start import Base, Beginning

    recipe, done = load(RECIPE, SETTINGS), {}

    def go(pipeline: Any, until: str = "") -> None:
        stop = threading.Event()

        def end(step: Step) -> None:
            done[step.name] = step
            print(f"{step.name} {step.seconds:.1f} s{' (cached)' if step.cached else ''}", flush=True)
            if step.name == until:
                stop.set()  # the run ends before the next step

        try:
            run_steps(pipeline, f"{time.time_ns()}", lambda *at: None, end, stop)
        except StepFailed as failed:
            if not (until and isinstance(failed.__cause__, KeyboardInterrupt)):
                raise

    def until_trainer(plan: Any, place: Path) -> None:
        print(f"== {place.name}", flush=True)
        pipeline = create_pipeline(plan)
        go(pipeline, "Transform")
        place.mkdir(parents=True, exist_ok=True)
        for (step, key), name in MADE.items():
            (place / name).unlink(missing_ok=True)
            (place / name).symlink_to(done[step].uri(key))
        [trainer] = [step for step in pipeline.components if step.id == "Trainer"]
        (place / "report").mkdir(exist_ok=True)  # a warm start reads there which labels its base has seen
        (place / "report/metrics.json").write_text(json.dumps({"span": shown(plan)}))
        given = trainer.exec_properties["custom_config"]
        (place / TOLD).write_text(given if isinstance(given, str) else json.dumps(given))

    for day in span_range(recipe, BARS["first"], BARS["last"]):
        places = {way: output / "examples" / f"{day}-{way}" for way in ways(day)}
        if places and all((place / TOLD).exists() for place in places.values()):
            continue
        plan = make_plan(recipe, RECIPE, data, output, day, day)
        ingest_spans(plan, True, go, done)
        for way, place in places.items():
            if (place / TOLD).exists():
                continue
            before, base = day_before(day), None
            if way == "warm":
                folder = output / "examples" / f"{before}-{way_of_base(before)}"
                base = Base("1", folder.name, before, folder, folder.name)
            until_trainer(replace(plan, beginning=Beginning(base, "", 0, 2)), place)


def days() -> list[str]:
    """Those that a model is trained for, the first model's before them."""
    return span_range(load(RECIPE), BARS["trained_first"], BARS["last"])


def day_before(day: str) -> str:
    return days()[days().index(day) - 1]


def ways(day: str) -> list[str]:
    """How models are trained for a day."""
    return [] if day not in days() else ["full"] if day == days()[0] else ["full", "warm"]


def way_of_base(day: str) -> str:
    """Which of a day's models the next day's warm start goes on from."""
    return "full" if day == days()[0] else "warm"


def train(output: Path, day: str, way: str, seed: int, folder: Path) -> dict:
    """Trains as the trainer's step does, and measures the day's rows; "first" is not trained.

    Returns:
      `cpu` and `wall` of the step in seconds, those of fitting in it as `fit_cpu` and `fit_wall`; `rows` and
      `epochs` it was trained on; and of each task `auc` and `gauc`.
    """
    import keras

    from mtl_models.training import metrics
    from pipeline import trainer
    from serving import export  # noqa: F401  a run's process has it before its trainer begins

    trained = days()[0] if way == "first" else day
    place = output / "examples" / f"{trained}-{'full' if way == 'first' else way}"
    told = json.loads((place / TOLD).read_text())
    recipe = Recipe.model_validate_json(told["recipe"])
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
    inputs, truth, users = test_rows(recipe, output / "examples" / f"{day}-full", place)
    made, found = folder, {}
    if way == "first":
        made = output / f"seed-{seed}" / f"{trained}-full"
    else:
        if way == "warm":
            before = day_before(day)
            told["base"] = str(output / f"seed-{seed}" / f"{before}-{way_of_base(before)}" / "model.keras")
        found = measured(trainer, place, {**told, "recipe": recipe.model_dump_json()}, folder)
    scores = keras.models.load_model(made / "model.keras").predict(inputs, batch_size=8192, verbose=0)
    for task in BARS["tasks"]:
        score = np.asarray(scores[task]).reshape(-1)
        found[task] = {
            "auc": metrics.auc(truth[task], score),
            "gauc": metrics.gauc(truth[task], score, users),
        }
    return found


def measured(trainer: Any, place: Path, custom: dict, folder: Path) -> dict:
    """The cost of the trainer's step, which leaves its model in `folder`."""
    fit, found = trainer.fit, {}

    def timed(recipe: Recipe, layout: Any, train: tuple, *given: Any, **named: Any) -> Any:
        begin = now()
        model, history = fit(recipe, layout, train, *given, **named)
        found["fit_cpu"], found["fit_wall"] = (b - a for a, b in zip(begin, now()))
        found["rows"] = len(next(iter(train[0].values())))
        found["epochs"] = len(history["epochs"])
        return model, history

    trainer.fit = timed
    begin = now()
    trainer.run_fn(
        SimpleNamespace(
            custom_config=custom,
            hyperparameters=None,
            transform_graph_path=str(place / "transform_graph"),
            train_files=[str(place / "transformed_examples/Split-train/*")],
            eval_files=[str(place / "transformed_examples/Split-validation/*")],
            model_run_dir=str(folder),
            serving_model_dir=str(folder / "export"),
        )
    )
    found["cpu"], found["wall"] = (b - a for a, b in zip(begin, now()))
    return found


def now() -> tuple[float, float]:
    """Processor-seconds of this process and what it started, and the clock."""
    return sum(os.times()[:4]), time.perf_counter()


def test_rows(recipe: Recipe, day: Path, place: Path) -> tuple[dict, dict, np.ndarray]:
    """A day's test rows as the model of `place` reads them: its inputs, each task's labels, and users."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from pipeline.examples import serialized_batches

    transform = tft.TFTransformOutput(str(place / "transform_graph"))
    layer, spec = transform.transform_features_layer(), transform.raw_feature_spec()
    parts = []
    for serialized in serialized_batches(day / "examples", "test"):
        raw = tf.io.parse_example(serialized, spec)
        users = tf.sparse.to_dense(raw[recipe.roles.user])[:, 0]
        parts.append({"users": users.numpy()} | {n: v.numpy() for n, v in layer(raw).items()})
    found = {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}
    users = found.pop("users")
    truth = {task: found[f"{task}/label"] for task in BARS["tasks"]}
    return {n: v for n, v in found.items() if "/" not in n}, truth, users


def kept(output: Path, seeds: int) -> dict[tuple[str, str, int], dict]:
    """What was measured of each day, way and seed; measured where not kept."""
    units = [
        (day, way, seed)
        for seed in range(1, seeds + 1)
        for day in days()
        for way in (*ways(day), *(["first"] if day != days()[0] else []))
    ]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    found = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("training", total=len(units))
        for day, way, seed in units:
            progress.update(bar, description=f"seed {seed}, {day}, {way}")
            folder = output / f"seed-{seed}" / f"{day}-{way}"
            path = folder.with_suffix(".json")
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                of_process("--train", output, day, way, seed, folder, path, log=folder.with_suffix(".log"))
            found[day, way, seed] = json.loads(path.read_text())
            progress.advance(bar)
    return found


def of_process(*arguments: Any, log: Path) -> None:
    """Runs a part of this benchmark in a process of its own, which tells its log."""
    with log.open("w") as file:
        command = [sys.executable, __file__, *map(str, arguments)]
        ran = subprocess.run(command, stdout=file, stderr=file, check=False)
    if ran.returncode:
        sys.exit(f"it ended with {ran.returncode}; see {log}")


def show(found: dict[tuple[str, str, int], dict], seeds: int) -> int:
    """Prints what was found, and returns the exit code."""
    console, missed = Console(width=150), []

    def of(day: str, way: str, *keys: str) -> float:
        """The mean over seeds."""
        values = [found[day, way, seed] for seed in range(1, seeds + 1)]
        for key in keys:
            values = [value[key] for value in values]
        return float(np.mean(values))

    def bar(what: str, value: float, limit: float) -> None:
        fine = value <= limit
        console.print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.4f} (bar: ≤ {limit:g})")
        missed.extend([] if fine else [what])

    def ratio(key: str) -> float:
        warm, full = (sum(of(day, way, key) for day in days()[1:]) for way in ("warm", "full"))
        return warm / full

    costs = [f"{name}: {way}" for name in ("rows × epochs", *COSTS) for way in WAYS]
    table = Table("day", *costs)
    for day in days()[1:]:
        row = [f"{of(day, way, 'rows') * of(day, way, 'epochs'):,.0f}" for way in WAYS]
        for key in COSTS.values():
            full, warm = (of(day, way, key) for way in WAYS)
            row += [f"{full:.1f} s", f"{warm:.1f} s ({warm / full:.2f})"]
        table.add_row(day, *row)
    console.print(table)
    for metric in ("auc", "gauc"):
        compared = [f"{task}: {way}" for task in BARS["tasks"] for way in ("full", "first", "warm")]
        table = Table(metric, *compared)
        for day in days()[1:]:
            row = []
            for task in BARS["tasks"]:
                full, first, warm = (of(day, way, task, metric) for way in ("full", "first", "warm"))
                row += [f"{full:.4f}", f"{first:.4f}", f"{warm:.4f} ({warm - full:+.4f})"]
            table.add_row(day, *row)
        console.print(table)
    console.print(f"mean of {seeds} seeds; first: the first day's model, as it was")
    bar("processor-seconds of fitting, warm starts' over full retrains'", ratio("fit_cpu"), BARS["cost"])
    bar("the same of the whole step, with its export", ratio("cpu"), BARS["cost"])
    for task in BARS["tasks"]:
        lost = [of(day, "full", task, "auc") - of(day, "warm", task, "auc") for day in days()[1:]]
        bar(f"{task}: AUC lost, mean over days and seeds", float(np.mean(lost)), BARS["auc"])
    return 1 if missed else 0


def main() -> int:
    if sys.argv[1:2] == ["--prepare"]:
        prepare(*map(Path, sys.argv[2:]))
        return 0
    if sys.argv[1:2] == ["--train"]:
        output, day, way, seed, folder, path = sys.argv[2:]
        told = train(Path(output), day, way, int(seed), Path(folder))
        Path(path).write_text(json.dumps(told))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("output/warm-start"))
    parser.add_argument("--seeds", type=int, default=BARS["seeds"])
    given = parser.parse_args()
    output = given.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with console.status("ingesting the days, and transforming each window; see prepare.log"):
        of_process("--prepare", given.input.resolve(), output, log=output / "prepare.log")
    return show(kept(output, given.seeds), given.seeds)


if __name__ == "__main__":
    sys.exit(main())
