"""Calibration on the demo: `python benchmarks/calibration.py [--methods none platt isotonic temperature]`.

Generates the demo's world with at least 100,000 labelled test rows a task, and runs its recipe once a method,
with every binary task calibrated by it; steps before training come from the cache. Likes are trained with the
focal loss, whose predictions are biased as probabilities. Expected calibration errors, with their 95 %
intervals, are those of the SavedModels that were pushed, on test, from each run's metrics.json. Runs that an
earlier call made are not made again. Bars are in calibration.json; the exit code is 1 where one is missed.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from runs import run

from pipeline.demo import generate
from serving.export import CARD

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
TASKS = tuple(BARS["tasks"])


def runs(methods: list[str], output: Path) -> dict[str, dict]:
    """Method → metrics.json of its run, with `card`, the pushed model's."""
    found = {}
    for method in methods:
        kept = output / f"{method}.json"
        if not kept.is_file():
            data = output / "data"
            if not (data / "world.json").is_file():
                generate(data, BARS["rows"], BARS["seed"])
            # each is measured alone: beside a serving model evaluation takes twice as long
            shutil.rmtree(output / "demo" / "serving", ignore_errors=True)
            chosen = [f"tasks.{task}.calibration={method}" for task in TASKS]
            metrics = run("demo", BARS["seed"], data, output, *BARS["settings"], *chosen)
            metrics["card"] = json.loads((Path(metrics["pushed"]) / "assets.extra" / CARD).read_text())
            kept.write_text(json.dumps(metrics))
        found[method] = json.loads(kept.read_text())
    return found


def show(found: dict[str, dict]) -> int:
    """Prints what was found, and returns the exit code."""
    table = Table(
        "task",
        "method",
        "labelled test rows",
        "test ECE",
        "95 % interval",
        "calibration",
        "log loss",
        "AUC",
        "GAUC",
    )
    missed = []
    for task in TASKS:
        for method, metrics in found.items():
            of = metrics["tasks"][task]
            values, (low, high) = of["metrics"], of["intervals"]["ece"]
            table.add_row(
                task,
                method,
                f"{of['examples']:,}",
                f"{values['ece']:.4f}",
                f"{low:.4f} – {high:.4f}",
                *[f"{values[m]:.4f}" for m in ("calibration", "logloss", "auc", "gauc")],
            )
            what = f"{task} by {method}"
            if of["examples"] < BARS["labelled_at_least"]:
                missed.append(f"{what}: {of['examples']:,} labelled rows are too few")
            if method != "none" and metrics["card"]["calibration"].get(task, {}).get("method") != method:
                missed.append(f"{what}: the served model lacks it")
            if method in BARS["methods"] and not (values["ece"] <= BARS["ece"] or low <= BARS["ece"] <= high):
                missed.append(f"{what}: ECE {values['ece']:.4f}")
    console = Console(width=140)
    console.print(table)
    for method in found:
        for task, of in found[method]["training"]["calibration"].items():
            console.print(f"{task}: {method} {of['parameters'] or of['problem']}", markup=False)
    console.print(f"missed: {'; '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--methods", nargs="+", default=["none", "platt", "isotonic", "temperature"])
    arguments.add_argument("--output", type=Path, default=Path("output/calibration"))
    given = arguments.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    return show(runs(given.methods, given.output))


if __name__ == "__main__":
    sys.exit(main())
