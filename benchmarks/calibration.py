"""Calibration on the demo: `python benchmarks/calibration.py [--output DIR]`.

Generates the demo's world with at least 100,000 labelled test rows a task, and runs its recipe once, each
binary task calibrated as calibration.json says; likes are trained with the focal loss, whose predictions are
biased as probabilities. `served` is the expected calibration error of the pushed SavedModel, on test,
with its 95 % interval, from the run's metrics.json. Beside it is the same model without calibration and with
each method, fitted on the run's validation rows as the Trainer does. Bars are in calibration.json; the exit
code is 1 where one is missed. A run that was stopped goes on from its cache.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from runs import RECIPES, run, transformed_test

import mtl_models.model  # noqa: F401, registers what is loaded
from mtl_models import Layout, calibrate
from mtl_models.calibration.calibrate import METHODS
from pipeline import trainer
from pipeline.demo import generate
from pipeline.evaluation.engine import Bootstrap, measure
from pipeline.evaluation.records import ScoreFiles
from pipeline.evaluation.replicates import percentile_intervals
from pipeline.recipe import Recipe, load

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
CHOSEN = BARS["methods"]
SETTINGS = (*BARS["settings"], *(f"tasks.{task}.calibration={method}" for task, method in CHOSEN.items()))
SHOWN = ("calibration", "logloss", "auc", "gauc")


def by_method(recipe: Recipe, output: Path) -> dict[str, dict]:
    """`<task>/<method>`, also `none` → its metrics on test, and `interval`, that of `ece`."""
    latest = output / recipe.name / "latest"
    layout = Layout.from_dict(json.loads((latest / "transform_graph/layout.json").read_text()))
    validation = trainer.read_arrays(
        [str(latest / "transformed_examples/Split-validation/*")], layout, recipe
    )
    test = transformed_test(recipe, output, latest / "transform_graph")
    evaluated = (output / recipe.name / "artifacts/Evaluate/evaluation").iterdir()
    judged = pq.read_table(max(evaluated, key=lambda path: int(path.name)) / "scores.parquet")
    model = keras.models.load_model(latest / "model_run/model.keras")
    columns = {"role/user": judged["role/user"]}
    for method in ("none", *METHODS):
        inputs, labels, _, masks = validation
        left = calibrate(
            model, {} if method == "none" else dict.fromkeys(CHOSEN, method), inputs, labels, masks
        )
        if left:
            sys.exit(f"{method}: {left}")
        predicted = model.predict(test, batch_size=8192, verbose=0)
        for task in CHOSEN:
            for part in ("label", "mask", "weight"):
                columns[f"{task}_{method}/{part}"] = judged[f"{task}/{part}"]
            columns[f"{task}_{method}/prediction"] = predicted[task]
    names = [f"{task}_{method}" for task in CHOSEN for method in ("none", *METHODS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scores.parquet")
        pq.write_table(pa.table(columns), path)
        _, found = measure(
            ScoreFiles(path),
            dict.fromkeys(names, "binary"),
            ["user"],
            [],
            max_slice_values=0,
            bootstrap=Bootstrap(recipe.evaluation.replicates),
            k=recipe.evaluation.k,
            quantile=recipe.evaluation.quantile,
            use_weight=False,
        )
    result = {}
    for name in names:
        metrics = {m: v[0] for m, v in found[name].metrics["prediction"].items()}
        low, high = percentile_intervals(metrics["ece"][None, 1:])[0]
        result[name.replace("_", "/")] = {m: float(v[0]) for m, v in metrics.items()} | {
            "interval": (low, high)
        }
    return result


def show(served: dict, methods: dict[str, dict]) -> int:
    """Prints what was found, and returns the exit code."""
    table = Table("task", "method", "labelled test rows", "test ECE", "95 % interval", *SHOWN)
    missed = []

    def row(task: str, what: str, values: dict, low: float, high: float) -> None:
        numbers = [f"{values[m]:.4f}" for m in SHOWN]
        table.add_row(
            task,
            what,
            f"{values['examples']:,.0f}",
            f"{values['ece']:.4f}",
            f"{low:.4f} – {high:.4f}",
            *numbers,
        )

    for task, method in CHOSEN.items():
        of = served["tasks"][task]
        values, (low, high) = of["metrics"] | {"examples": of["examples"]}, of["intervals"]["ece"]
        row(task, f"served: {method}", values, low, high)
        for name, found in methods.items():
            if name.startswith(f"{task}/"):
                row(task, name.partition("/")[2], found, *found["interval"])
        if values["examples"] < BARS["labelled_at_least"]:
            missed.append(f"{task}: {values['examples']:,} labelled rows are too few")
        if not (values["ece"] <= BARS["ece"] or low <= BARS["ece"] <= high):
            missed.append(f"{task}: ECE {values['ece']:.4f}")
        if not np.isclose(values["ece"], methods[f"{task}/{method}"]["ece"], atol=5e-4):
            missed.append(f"{task}: the served model is not calibrated as the Trainer's is")
    console = Console(width=140)
    console.print(table)
    console.print(f"missed: {'; '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--output", type=Path, default=Path("output/calibration"))
    output = arguments.parse_args().output.resolve()
    data = output / "data"
    if not (data / "world.json").is_file():
        generate(data, BARS["rows"], BARS["seed"])
    # beside a model that serves evaluation takes twice as long, and beside this one nothing is done
    shutil.rmtree(output / "demo/serving", ignore_errors=True)
    served = run("demo", BARS["seed"], data, output, *SETTINGS)
    recipe = load(RECIPES / "demo/recipe.yaml", (f"training.seed={BARS['seed']}", *SETTINGS))
    return show(served, by_method(recipe, output))


if __name__ == "__main__":
    sys.exit(main())
