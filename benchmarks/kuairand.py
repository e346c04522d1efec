"""KuaiRand through the whole pipeline, beside boosted trees and a baseline that sees no item.

    python benchmarks/kuairand.py --input FOLDER [--output FOLDER]

The recipe runs once through the pipeline, and its model is then trained with several seeds on that run's
transformed examples: one checkpoint a seed, chosen on validation for all tasks. Scikit-learn's
HistGradientBoosting is trained on the same rows, one model a task: with the same columns, those of history
among them but without embeddings of ids ("trees"), and without those of history ("trees, no history"). The
regression is fitted with the absolute error, its better loss here. Bars are in kuairand.json; the exit code
is 1 where a mean over the seeds misses one. What was trained is kept in OUTPUT/kuairand-seeds.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from runs import RECIPES, code_texts, rows, run, shown, train_seeds
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mtl_models.training import metrics
from pipeline.recipe import Recipe, load

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())


def measure(recipe: Recipe, task: str, truth: np.ndarray, score: np.ndarray, users: np.ndarray) -> dict:
    """AUC and AUC within users of a binary task, mean absolute error of a regression."""
    if recipe.tasks[task].kind == "binary":
        return {"auc": metrics.auc(truth, score), "gauc": metrics.gauc(truth, score, users)}
    return {"mae": metrics.mae(truth, score)}


def trees(recipe: Recipe, train: pd.DataFrame, test: pd.DataFrame, without: list[str]) -> dict:
    """Metrics of one boosted model a task."""
    names = [n for n in (*recipe.example_columns, *recipe.derived_columns) if n not in BARS["ids"]]
    x, y = (frame[[n for n in names if n not in without]].copy() for frame in (train, test))
    categories = code_texts(recipe, x, y)
    categorical = [n in categories for n in x]
    found = {}
    for name, task in recipe.tasks.items():
        label, truth = train[f"{name}/label"], test[f"{name}/label"].to_numpy(float)
        if task.kind == "binary":
            # without early stopping, which ends after a few trees on so few likes
            model = HistGradientBoostingClassifier(
                learning_rate=0.05,
                max_iter=150,
                early_stopping=False,
                categorical_features=categorical,
                random_state=0,
            ).fit(x, label)
            score = model.predict_proba(y)[:, 1]
        else:
            model = HistGradientBoostingRegressor(
                loss="absolute_error", categorical_features=categorical, random_state=0
            ).fit(x, label)
            score = model.predict(y)
        found[name] = measure(recipe, name, truth, score, test["user_id"].to_numpy())
    return found


def peers(recipe: Recipe, output: Path) -> tuple[dict, pd.DataFrame]:
    """Metrics of the trees, by what they see, and the test rows."""
    train, test = rows(recipe, output, "train"), rows(recipe, output, "test")
    read = {n: e.columns for n, e in recipe.derived_columns.items()}
    history = [*recipe.history, *(n for n, columns in read.items() if set(columns) & set(recipe.history))]
    items = {*BARS["items"], *(n for n, columns in read.items() if set(columns) & set(BARS["items"]))}
    found = {
        "trees": trees(recipe, train, test, []),
        "trees, no history": trees(recipe, train, test, history),
        "no item": trees(recipe, train, test, [*history, *items]),
    }
    return found, test


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark"))
    arguments.add_argument("--seeds", type=int, default=BARS["seeds"])
    given = arguments.parse_args()
    recipe = load(RECIPES / "kuairand" / "recipe.yaml")
    run("kuairand", 1, given.input, given.output)
    ours = train_seeds(recipe, given.output, given.seeds, given.output / "kuairand-seeds")
    found, test = peers(recipe, given.output)

    console, missed = Console(width=150), []
    table = Table("task", "metric", "mean of seeds, 95 % interval", "seeds", *found, "bar", "")
    for name in recipe.tasks:
        truth, users = test[f"{name}/label"].to_numpy(float), test["user_id"].to_numpy()
        runs = [measure(recipe, name, truth, scores[name], users) for scores in ours]
        for metric in runs[0]:
            values = [r[metric] for r in runs]
            bars = _bars(name, metric, found["trees"][name][metric])
            lost = [text for text, kept in bars if not kept(float(np.mean(values)))]
            missed += [f"{name} {metric} {text}" for text in lost]
            table.add_row(
                name,
                metric,
                shown(values),
                " ".join(f"{v:.4f}" for v in values),
                *[f"{p[name][metric]:.4f}" for p in found.values()],
                ", ".join(text for text, _ in bars),
                "MISS" if lost else "ok" if bars else "",
            )
    console.print(table)
    console.print(f"epochs kept: {[int(scores['epoch']) for scores in ours]}")
    console.print(f"missed: {'; '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


def _bars(task: str, metric: str, trees_reach: float) -> list:
    """The bars of a metric: what each says, and whether a mean keeps it."""
    bars = []
    if metric == "auc" and task in BARS["auc"]:
        bars.append((f">= {BARS['auc'][task]}", lambda mean: mean >= BARS["auc"][task]))
    if metric in ("auc", "gauc") and task in BARS["ahead_of_trees"]:
        bars.append((f"> {trees_reach:.4f}", lambda mean: mean > trees_reach))
    return bars


if __name__ == "__main__":
    sys.exit(main())
