"""What the benchmarks on real data share: runs of a recipe, and its rows for scikit-learn's trees."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.examples import record_batches, single_values
from pipeline.recipe import Recipe

RECIPES = Path(__file__).resolve().parents[1] / "data"


def run(name: str, seed: int, data: Path, output: Path, *settings: str) -> dict:
    """metrics.json of one run of `data/<name>/recipe.yaml`; steps before training come from the cache.

    Args:
      name: the recipe's.
      seed: of training.
      data: the input folder.
      output: the output folder.
      settings: of the recipe, `key=value`.
    """
    recipe = str(RECIPES / name / "recipe.yaml")
    command = [sys.executable, "-m", "pipeline", "run", recipe, "--input", str(data), "--output", str(output)]
    for setting in (f"training.seed={seed}", *settings):
        command += ["--set", setting]
    ran = subprocess.run(command, check=False)
    if ran.returncode not in (0, 3):
        sys.exit(f"the run with seed {seed} ended with {ran.returncode}")
    return json.loads((output / name / "latest/report/metrics.json").read_text())


def rows(recipe: Recipe, output: Path, split: str) -> pd.DataFrame:
    """All columns and labels of a split of the last ingestion; of a list its first value."""
    folders = (output / recipe.name / "artifacts/Ingest/examples").iterdir()
    examples = max(folders, key=lambda path: int(path.name))
    columns = {n: c.type for n, c in recipe.example_columns.items()}
    columns |= {f"{task}/label": "float" for task in recipe.tasks}
    parts = [
        pd.DataFrame({n: single_values(c).to_pandas() for n, c in zip(b.schema.names, b.columns)})
        for b in record_batches(examples, split, columns)
    ]
    return pd.concat(parts, ignore_index=True)


def is_text(recipe: Recipe, name: str) -> bool:
    """Whether a column holds words, which trees take as categories."""
    return name in recipe.columns and recipe.columns[name].type in ("string", "list[string]")


def code_texts(recipe: Recipe, train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Replaces words by codes that training knows, in place: the 250 most frequent, NaN for others."""
    for name in [n for n in train if is_text(recipe, n)]:
        known = pd.Index(train[name].value_counts().index[:250])
        for frame in (train, test):
            codes = known.get_indexer(frame[name])
            frame[name] = np.where(codes < 0, np.nan, codes)
