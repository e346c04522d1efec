"""`mtl train`: a recipe's model on the transformed examples of an earlier run, without TFX."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mtl_models.training.worker_lost import WorkerLost
from pipeline import digests, distribution, terminal
from pipeline.calibration_lines import calibration_lines
from pipeline.recipe import Recipe, load
from pipeline.scratch import scratch
from pipeline.trainer_files import HISTORY, METRICS, STATE
from serving.interrupts import not_lost

_LOWER_IS_BETTER = ("logloss", "mae", "rmse")
CHANGEABLE = "model, weighting, training, and of a task its loss, loss_weight and calibration"


class CannotTrain(Exception):
    """The run has no examples, or the recipe asks for other ones."""


def train(recipe_file: Path, run_dir: Path, output: Path | None = None, settings: Sequence[str] = ()) -> int:
    """Trains and returns the exit code: 0, 130 where Ctrl-C stopped it, or 1 where another worker ended.

    Writes into `output` (by default a folder beside the recommender's runs, named by settings and data):
    model.keras, history.json, metrics.json (of validation), state.npz, tensorboard/ and log.txt. Of several
    workers only the first does; the others write a log.

    Raises:
      RecipeError: the recipe is wrong.
      CannotTrain: see there.
    """
    recipe = load(recipe_file, settings)
    run_dir = run_dir.resolve()
    examples, graph = made(run_dir)
    changed = fixed_differences(recipe, load(run_dir / "recipe.yaml"))
    if changed:
        raise CannotTrain(
            f"these settings made the examples of {run_dir.name} and cannot change here:\n"
            + "\n".join(f"  {line}" for line in changed)
            + f"\nleave them as in {run_dir / 'recipe.yaml'}, or let `mtl run` make new examples; "
            f"what can change here: {CHANGEABLE}"
        )
    worker = None
    if recipe.training.distribution == "multi_worker":
        try:
            worker = distribution.this_worker(os.environ)
        except distribution.BadCluster as error:
            raise CannotTrain(str(error)) from None
    what = digests.text_digest(trained_part(recipe).model_dump_json(), str(examples.resolve()))
    folder = output or run_dir.parent.parent / "train" / what
    if _trained_there(folder) not in (None, what):
        raise CannotTrain(f"{folder} holds a training with other settings or data; give another --output")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    log = "log.txt" if worker is None or worker.is_chief else f"log-worker-{worker.number}.txt"
    with scratch(folder), terminal.chatter_to(folder / log) as console:
        place = "" if worker is None else f", as worker {worker.number} of {worker.count} (from 0)"
        console.print(
            f"{recipe.name}: training on {run_dir.name}'s examples into {terminal.shown(folder)}{place}",
            markup=False,
        )
        try:
            history = _fit(console, recipe, examples, graph, folder, what, worker is not None)
        except KeyboardInterrupt:
            model = folder / "model.keras"
            if _trained_there(folder) is not None:
                left = f"the best epoch so far is {terminal.shown(model)}. The same command goes on after "
                left += "the last whole epoch"
            elif model.is_file():
                left = f"{terminal.shown(model)} is the model as it was within its first epoch. The same "
                left += "command begins anew"
            else:
                left = "nothing was trained yet. The same command begins anew"
            console.print(f"stopped; {left}", markup=False)
            return 130
        except WorkerLost as error:
            console.print(f"stopped: {error}", markup=False)
            return 1
        if history is None:
            console.print("trained; worker 0 has the model", markup=False)
            return 0
        _compare(console, history, run_dir)
        console.print(f"model:   {terminal.shown(folder / 'model.keras')}", markup=False)
    return 0


def fixed_differences(recipe: Recipe, made: Recipe) -> list[str]:
    """What the two recipes' examples would differ by: `path: value (value of the run)`, sorted."""
    ours, theirs = (
        json.loads(r.part("features", "derived").model_copy(update={"name": ""}).model_dump_json())
        for r in (recipe, made)
    )
    return sorted(_differences("", ours, theirs))


def _differences(path: str, ours: Any, theirs: Any) -> list[str]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        found = []
        for key in dict.fromkeys([*ours, *theirs]):
            below = f"{path}.{key}" if path else key
            if key not in ours:
                found.append(f"{below}: not there, but in the run")
            elif key not in theirs:
                found.append(f"{below}: not in the run")
            else:
                found += _differences(below, ours[key], theirs[key])
        return found
    return [] if ours == theirs else [f"{path}: {json.dumps(ours)} ({json.dumps(theirs)} in the run)"]


def trained_part(recipe: Recipe) -> Recipe:
    """What training depends on; the rest is neutral."""
    return recipe.part("features", "derived", "tasks", "model", "weighting", "training")


def made(run_dir: Path) -> tuple[Path, Path]:
    """The run's transformed examples and transform graph."""
    examples, graph = run_dir / "transformed_examples", run_dir / "transform_graph"
    if (run_dir / "recipe.yaml").is_file() and examples.is_dir() and graph.is_dir():
        return examples, graph
    others = sorted(p.parent for p in run_dir.parent.glob("*/transformed_examples") if p.is_dir())
    hint = f"; {others[-1]} has them" if others else "; `mtl run` makes them"
    raise CannotTrain(
        f"{run_dir} has no transformed examples (it is no run, or ended before Transform){hint}"
    )


def _trained_there(folder: Path) -> str | None:
    """What a checkpoint in the folder is of."""
    if not (folder / STATE).is_file():
        return None
    with np.load(folder / STATE) as state:
        return json.loads(str(state["facts"]))["of"]


def _fit(
    console: Console, recipe: Recipe, examples: Path, graph: Path, folder: Path, what: str, together: bool
) -> dict | None:
    """The history; None on a worker other than the first, once that one has written all."""
    with not_lost():
        import keras

        from mtl_models import Layout
        from pipeline import trainer

    strategy = distribution.of_workers() if together else None
    keras.utils.set_random_seed(recipe.training.seed)
    layout = Layout.from_dict(json.loads((graph / "layout.json").read_text()))
    arrays = [
        trainer.read_arrays([str(examples / f"Split-{split}" / "*")], layout, recipe)
        for split in ("train", "validation")
    ]
    with _Shown(console, recipe.training.epochs) as shown:
        held = trainer.held_vectors(graph, layout)
        fitted = trainer.fit(recipe, layout, *arrays, folder, (folder, what), shown, held, strategy)
    history = None if fitted is None else _written(console, *fitted, folder)
    if strategy is not None:
        trainer.distributed.of_chief(strategy, 0)  # no worker leaves before the chief has written
    return history


def _written(console: Console, model: Any, history: dict, folder: Path) -> dict:
    part = folder / ".partial-model.keras"
    model.save(part)
    os.replace(part, folder / "model.keras")
    (folder / HISTORY).write_text(json.dumps(history, indent=1))
    best = history["epochs"][history["best_epoch"] - 1]
    measured = {k: best[k] for k in ("epoch", "objective", "validation", "gains", "alarms")}
    measured["calibration"] = history["calibration"]
    (folder / METRICS).write_text(json.dumps(measured, indent=1))
    for alarm in best["alarms"]:
        console.print(f"alarm:   {alarm}", markup=False)
    for line in calibration_lines(history):
        console.print(f"calibration: {line}", markup=False)
    return history


class _Shown:
    """A bar within an epoch on a terminal, and a line an epoch."""

    def __init__(self, console: Console, epochs: int):
        self.console, self.epochs = console, epochs
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}")
        self.bars = Progress(
            *columns, TimeElapsedColumn(), console=console, transient=True, **terminal.TO_THE_LOG
        )
        self.bar = self.bars.add_task("reading", total=None, loss="")

    def __enter__(self) -> "_Shown":
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def __call__(self, at: dict) -> None:
        self.bars.update(
            self.bar,
            description=f"epoch {at['epoch']} of at most {self.epochs}",
            total=at["steps"],
            completed=at["step"],
            loss=f"loss {at['loss']:.4f}",
        )
        entry = at.get("entry")
        if entry is None:
            return
        measured = "; ".join(
            f"{task} {', '.join(f'{m} {v:.4f}' for m, v in values.items() if v is not None)}"
            for task, values in entry["validation"].items()
        )
        line = f"epoch {at['epoch']:3}: loss {at['loss']:.4f}, objective {entry['objective']:.4f}"
        best = ", the best so far" if entry["best"] else ""
        self.console.print(f"{line}{best}; {measured}", markup=False)


def _compare(console: Console, history: dict, run_dir: Path) -> None:
    """What this model and the run's own came to on the same validation rows."""
    path = run_dir / "model_run" / HISTORY
    here = history["epochs"][history["best_epoch"] - 1]
    if not path.is_file():
        console.print("the run has no model to compare with", markup=False)
        return
    other = json.loads(path.read_text())
    there = other["epochs"][other["best_epoch"] - 1]
    table = Table("task", "metric", "here", "run", "difference", title="validation, best epochs", box=None)
    better, worse = [], []
    for task, values in here["validation"].items():
        for metric, value in values.items():
            before = there["validation"].get(task, {}).get(metric)
            if value is None or before is None:
                continue
            gain = (before - value) if metric in _LOWER_IS_BETTER else value - before
            if gain:
                (better if gain > 0 else worse).append(f"{task} {metric}")
            table.add_row(task, metric, f"{value:.4f}", f"{before:.4f}", f"{value - before:+.4f}")
    console.print(table)
    same = here["objective"] == there["objective"]
    verdict = "equals" if same else "beats" if here["objective"] > there["objective"] else "does not beat"
    objectives = f"objective {here['objective']:.4f} against {there['objective']:.4f}"
    sides = f"better in {', '.join(better) or 'nothing'}; worse in {', '.join(worse) or 'nothing'}"
    console.print(f"this model {verdict} the run's: {objectives}; {sides}", markup=False)
