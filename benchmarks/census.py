"""Census-Income through the whole pipeline, beside boosted trees on the same rows.

    python benchmarks/census.py --input FOLDER [--output FOLDER] [--seeds N]

Length of training is chosen on validation; bars are in census.json, and the exit code is 1 where a mean
over the seeds misses one.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier

from pipeline.evaluation.auc import auc
from pipeline.examples import record_batches, single_values
from pipeline.recipe import Recipe, load

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "data/census/recipe.yaml"
BARS = json.loads(Path(__file__).with_suffix(".json").read_text())


def run(seed: int, data: Path, output: Path) -> dict:
    """One run's metrics.json."""
    ran = subprocess.run([sys.executable, "-m", "pipeline", "run", str(RECIPE), "--input", str(data), "--output",
                          str(output), "--set", f"training.seed={seed}"], check=False)
    if ran.returncode not in (0, 3):
        sys.exit(f"the run with seed {seed} ended with {ran.returncode}")
    return json.loads((output / "census/latest/report/metrics.json").read_text())


def rows(recipe: Recipe, examples: Path, split: str) -> pd.DataFrame:
    """The model's inputs and the labels of a split."""
    columns = {n: c.type for n, c in recipe.input_columns.items()} | {f"{t}/label": "float" for t in recipe.tasks}
    return pd.concat([pd.DataFrame({n: single_values(c).to_pandas() for n, c in zip(b.schema.names, b.columns)})
                      for b in record_batches(examples, split, columns)], ignore_index=True)


def trees(recipe: Recipe, examples: Path) -> dict[str, float]:
    """Test AUC of one boosted model a task."""
    train, test = rows(recipe, examples, "train"), rows(recipe, examples, "test")
    names = list(recipe.input_columns)
    categorical = [recipe.columns[n].type == "string" for n in names]
    for name, words in zip(names, categorical):
        if words:
            known = pd.Index(train[name].dropna().unique())
            for frame in (train, test):
                codes = known.get_indexer(frame[name])
                frame[name] = np.where(codes < 0, np.nan, codes)
    found = {}
    for task in recipe.tasks:
        model = HistGradientBoostingClassifier(
            categorical_features=categorical, learning_rate=0.05, max_iter=400, random_state=0)
        model.fit(train[names], train[f"{task}/label"])
        found[task] = auc(test[f"{task}/label"], model.predict_proba(test[names])[:, 1])
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark"))
    arguments.add_argument("--seeds", type=int, default=BARS["seeds"])
    given = arguments.parse_args()
    recipe = load(RECIPE)
    runs = [run(seed, given.input, given.output) for seed in range(1, given.seeds + 1)]
    examples = max((given.output / "census/artifacts/Ingest/examples").iterdir(), key=lambda p: int(p.name))
    peer = trees(recipe, examples)
    table, missed = Table("task", *[f"seed {i + 1}" for i in range(len(runs))], "mean", "trees", "bar"), []
    for task, bar in BARS["auc"].items():
        values = [r["tasks"][task]["metrics"]["auc"] for r in runs]
        missed += [] if np.mean(values) >= bar else [task]
        table.add_row(task, *[f"{v:.4f}" for v in values], f"{np.mean(values):.4f}", f"{peer[task]:.4f}", f">= {bar}")
    Console(width=120).print(table)
    print(f"epochs kept: {[r['training']['best_epoch'] for r in runs]}; missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
