"""`mtl fuse`: the weights of `score` that do best what the recipe wants, on a run's validation requests."""

import csv
import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Column, Table

from pipeline import terminal
from pipeline.fuse import words
from pipeline.fuse.front import front
from pipeline.fuse.objective import Objective, interval
from pipeline.fuse.picture import svg
from pipeline.fuse.search import NOW, Found, gain_elsewhere, search
from pipeline.fuse.validation import CannotFuse, Validation
from pipeline.recipe import Recipe, load

PATCH, POINTS, PICTURE, JSON = "patch.yaml", "points.csv", "front.svg", "fuse.json"
_SCORES = "validation.parquet"
_CHANGEABLE = ("fuse", "serving", "evaluation")
_REFUSED = 3


def fuse(run_dir: Path, settings: Sequence[str] = ()) -> int:
    """Searches, and returns the exit code: 0, or 3 where no weights keep the bounds.

    Writes into `fuse/` of the run's folder: patch.yaml (the chosen weights; not where no weights keep the
    bounds), points.csv (every point tried), front.svg (of two tasks or more), fuse.json, log.txt, and the
    model's scores of validation, which the next search reads.

    Args:
      run_dir: the run, whose model and validation rows are used.
      settings: over the run's recipe: `key=value` or `@FILE`, of its sections fuse, serving and evaluation.

    Raises:
      RecipeError: the settings are wrong.
      CannotFuse: see there.
    """
    run_dir = run_dir.resolve()
    recipe = _recipe(run_dir, settings)
    model = run_dir / "model" / "Format-Serving"
    if not model.is_dir() or not (run_dir / "examples").is_dir():
        others = sorted(p.parent for p in run_dir.parent.glob("*/model") if p.is_dir())
        hint = f"; {others[-1]} has one" if others else "; `mtl run` makes one"
        raise CannotFuse(f"{run_dir} has no model: it had nothing to do, or ended before{hint}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    folder = run_dir / "fuse"
    with terminal.chatter_to(folder / "log.txt") as console:
        with terminal.waiting(console, "scoring the validation rows"):
            scores = _scores(recipe, run_dir, model, folder)
        with terminal.waiting(console, "searching"):
            facts, found, objective = _search(Validation(recipe, scores))
        facts |= {"run": run_dir.name, "model": _model(run_dir)}
        _write(folder, facts, found, objective)
        _tell(console, facts, folder)
    return 0 if facts["chosen"] else _REFUSED


def _recipe(run_dir: Path, settings: Sequence[str]) -> Recipe:
    path = run_dir / "recipe.yaml"
    if not path.is_file():
        raise CannotFuse(f"{run_dir} is not the folder of a run: it has no recipe.yaml")
    recipe, made = load(path, settings), load(path)
    other = [n for n in type(recipe).model_fields if getattr(recipe, n) != getattr(made, n)]
    if wrong := [name for name in other if name not in _CHANGEABLE]:
        raise CannotFuse(
            f"--set changes {', '.join(wrong)}, which the run's model was made with; what can change here: "
            f"{', '.join(_CHANGEABLE)}"
        )
    tasks = list(recipe.score_weights)
    if recipe.fuse is None:
        raise CannotFuse(
            "the recipe does not say what to look for. Write, or give with --set @FILE:\n"
            f"  fuse:\n    maximize: {{{', '.join(f'{task}: 1' for task in tasks[:2])}}}   # task: weight\n"
            f"    bounds: [{{task: {(tasks or ['click'])[-1]}, max_drop: 0.005}}]"
        )
    if len(tasks) < 2:
        raise CannotFuse(
            f"score is of one task ({', '.join(tasks)}), which orders rows alike whatever its weight; name "
            "two or more in serving.score"
            if tasks
            else "no task has a single number for `score`: all are multiclass"
        )
    return recipe


def _scores(recipe: Recipe, run_dir: Path, model: Path, folder: Path) -> pa.Table:
    """What the run's model says of its validation rows, kept beside it."""
    path = folder / _SCORES
    if not path.is_file():
        from pipeline.evaluation.scoring import write_scores

        part = folder / f".partial-{os.getpid()}"
        examples = str(run_dir / "examples")
        faults = write_scores(recipe, examples, str(model), None, part, "validation", slices=False)
        if faults.candidate is not None:
            part.unlink(missing_ok=True)
            raise CannotFuse(f"the model of {run_dir} cannot be asked: {faults.candidate}")
        if not part.is_file():
            raise CannotFuse(f"{run_dir} has no validation rows")
        part.replace(path)
    return pq.read_table(path)


def _model(run_dir: Path) -> str:
    path = run_dir / "report" / "metrics.json"
    try:
        pushed = json.loads(path.read_text())["pushed"] if path.is_file() else None
    except (ValueError, KeyError, TypeError) as error:
        raise CannotFuse(f"{path} is not a whole metrics.json ({error}): run `mtl run` again") from None
    return f"version {Path(pushed).name}" if pushed else "the run's, which was not pushed"


def _search(validation: Validation) -> tuple[dict[str, Any], Found, Objective]:
    recipe, wanted = validation.recipe, validation.recipe.fuse
    objective = Objective(wanted, validation.orders())
    weights = np.array(list(recipe.score_weights.values()), np.float64)
    found = search(objective, weights, validation.scales, wanted.candidates, wanted.seed)
    metrics = found.metrics[0]
    kept = objective.shortfall(metrics[found.chosen], metrics[NOW]) == 0
    draws = objective.replicates(found.points[[found.chosen, NOW]], recipe.evaluation.replicates)[1:]

    def point(place: int) -> dict[str, Any]:
        mark = " ".join(
            m for m, at in (("chosen", found.chosen if kept else None), ("now", NOW)) if place == at
        )
        return {
            "mark": mark,
            "weights": dict(zip(validation.fused, found.points[place].tolist(), strict=True)),
            "metrics": dict(zip(objective.tasks, metrics[place].tolist(), strict=True)),
            "mean": float(objective.mean(metrics[place])),
        }

    rows = validation.rows
    sizes = np.unique(rows.requests[rows.requests > 0], return_counts=True)[1]
    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "fusion": recipe.serving.fusion,
        "fused": validation.fused,
        "tasks": objective.tasks,
        "metric": wanted.metric,
        "k": recipe.evaluation.k,
        "maximize": dict(wanted.maximize),
        "least": objective.least(metrics[NOW]),
        "seed": wanted.seed,
        "tried": len(found.points),
        "validation": {
            "rows": len(rows.requests),
            "in_none": int((rows.requests == 0).sum()),
            "requests": len(sizes),
            "single": int((sizes == 1).sum()),
            "tasks": {
                task: {"requests": of.requests, "counted": len(of.weights), "open": of.open}
                for task, of in objective.orders.items()
            },
        },
        "now": point(NOW),
        "chosen": point(found.chosen) if kept else None,
        "nearest": point(found.chosen),
        "unchanged": found.chosen == NOW,
        "interval": interval(draws[:, 0]),
        "difference_interval": interval(draws[:, 0] - draws[:, 1]),
        "gain_elsewhere": gain_elsewhere(objective, found),
        "front": [point(place) for place in front(metrics).tolist()],
    }
    return facts, found, objective


def _write(folder: Path, facts: dict[str, Any], found: Found, objective: Objective) -> None:
    (folder / JSON).write_text(json.dumps(facts, indent=1) + "\n")
    on_front = set(front(found.metrics[0]).tolist())
    with (folder / POINTS).open("w", newline="") as file:
        out = csv.writer(file)
        names = [f"weight/{task}" for task in facts["fused"]]
        names += [f"{task}/{facts['metric']}" for task in facts["tasks"]]
        out.writerow([*names, "mean", "keeps_bounds", "on_front", "chosen", "now"])
        means = objective.mean(found.metrics[0])
        kept = objective.shortfall(found.metrics[0], found.metrics[0, NOW]) == 0
        for i, (point, metrics) in enumerate(zip(found.points, found.metrics[0], strict=True)):
            chosen = facts["chosen"] is not None and i == found.chosen
            flags = (kept[i], i in on_front, chosen, i == NOW)
            out.writerow([*point.tolist(), *metrics.tolist(), means[i], *map(int, flags)])
    for name in (PATCH, PICTURE):
        (folder / name).unlink(missing_ok=True)
    if facts["chosen"]:
        (folder / PATCH).write_text(words.patch(facts), encoding="utf-8")
    if len(facts["tasks"]) > 1:
        tried = dict(zip(facts["tasks"], found.metrics[0].T.tolist(), strict=True))
        (folder / PICTURE).write_text(svg(facts, tried), encoding="utf-8")


def _tell(console: Console, facts: dict[str, Any], folder: Path) -> None:
    for sentence in words.counts(facts):
        console.print(sentence, markup=False)
    many = f"{len(facts['front'])} of {facts['tried']:,} points"
    title = f"Pareto front: {many}, their weights (w) and {facts['metric']}"
    columns = [Column(name, overflow="fold") for name in words.headings(facts)]
    table = Table(*columns, title=title, box=None)
    for row in words.table(facts):
        table.add_row(*row)
    if not any("now" in p["mark"] for p in facts["front"]):
        table.add_section()
        table.add_row(*words.row(facts, facts["now"] | {"mark": "now (not on it)"}))
    console.print(table)
    for sentence in words.outcome(facts):
        console.print(sentence, markup=False)
    made = [folder / name for name in (PATCH, PICTURE, POINTS) if (folder / name).is_file()]
    others = f", and {' and '.join(path.name for path in made[1:])} beside it" if made[1:] else ""
    console.print(f"written: {terminal.shown(made[0])}{others}", markup=False)
    if facts["chosen"]:
        console.print(f"next:    mtl run RECIPE --set @{terminal.shown(folder / PATCH)}", markup=False)
