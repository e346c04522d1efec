"""Census-Income through the whole pipeline, beside boosted trees on the same rows.

    python benchmarks/census.py --input FOLDER [--output FOLDER] [--seeds N]

Length of training is chosen on validation; bars are in census.json, and the exit code is 1 where a mean
over the seeds misses one.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from runs import RECIPES, code_texts, is_text, rows, run
from sklearn.ensemble import HistGradientBoostingClassifier

from pipeline.evaluation.auc import auc
from pipeline.recipe import Recipe, load

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())


def trees(recipe: Recipe, output: Path) -> dict[str, float]:
    """Test AUC of one boosted model a task."""
    train, test = rows(recipe, output, "train"), rows(recipe, output, "test")
    code_texts(recipe, train, test)
    names = list(recipe.input_columns)
    found = {}
    for task in recipe.tasks:
        model = HistGradientBoostingClassifier(
            categorical_features=[is_text(recipe, n) for n in names],
            learning_rate=0.05,
            max_iter=400,
            random_state=0,
        )
        model.fit(train[names], train[f"{task}/label"])
        found[task] = auc(test[f"{task}/label"], model.predict_proba(test[names])[:, 1])
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark"))
    arguments.add_argument("--seeds", type=int, default=BARS["seeds"])
    given = arguments.parse_args()
    recipe = load(RECIPES / "census" / "recipe.yaml")
    runs = [run("census", seed, given.input, given.output) for seed in range(1, given.seeds + 1)]
    peer = trees(recipe, given.output)
    table, missed = Table("task", *[f"seed {i + 1}" for i in range(len(runs))], "mean", "trees", "bar"), []
    for task, bar in BARS["auc"].items():
        values = [r["tasks"][task]["metrics"]["auc"] for r in runs]
        missed += [] if np.mean(values) >= bar else [task]
        table.add_row(
            task, *[f"{v:.4f}" for v in values], f"{np.mean(values):.4f}", f"{peer[task]:.4f}", f">= {bar}"
        )
    Console(width=120).print(table)
    print(
        f"epochs kept: {[r['training']['best_epoch'] for r in runs]}; missed: {', '.join(missed) or 'none'}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
