"""Census-Income: hard sharing, MMoE and PLE beside boosted trees and beside torch-rechub's, on the same rows.

    python benchmarks/census.py --input FOLDER [--output FOLDER] [--peer-python PYTHON]

The recipe runs once through the pipeline; then each architecture is trained with several seeds on that run's
transformed examples, one checkpoint a seed, chosen on validation. Scikit-learn's HistGradientBoosting is
trained with one model a task, and torch-rechub's three models by the published protocol (see
census_rechub.py), in the interpreter that `--peer-python` names, for which rechub.lock lists the packages
(pip install --no-deps --require-hashes -r benchmarks/rechub.lock); without it they are left out, and their
bars with them. Differences are of the same seed, with the 95 % interval over seeds. Bars are in census.json;
the exit code is 1 where one is missed. What was trained is kept in OUTPUT/census-<architecture>.
"""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from runs import RECIPES, code_texts, interval, is_text, rows, run, shown, train_seeds
from sklearn.ensemble import HistGradientBoostingClassifier

from mtl_models.training.metrics import auc
from pipeline.recipe import Recipe, load

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())


def trees(recipe: Recipe, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, np.ndarray]:
    """Test scores of one boosted model a task."""
    names = list(recipe.input_columns)
    train_x, test_x = train[names].copy(), test[names].copy()
    categories = code_texts(recipe, train_x, test_x)
    found = {}
    for task in recipe.tasks:
        model = HistGradientBoostingClassifier(
            categorical_features=[n in categories for n in names],
            learning_rate=0.05,
            max_iter=400,
            random_state=0,
        )
        model.fit(train_x, train[f"{task}/label"])
        found[task] = model.predict_proba(test_x)[:, 1]
    return found


def write_peer_arrays(recipe: Recipe, splits: dict[str, pd.DataFrame], path: Path) -> None:
    """The published protocol's inputs: label-encoded words, numbers scaled to 0–1 by training's range."""
    words = [n for n in recipe.input_columns if is_text(recipe, n)]
    numbers = [n for n in recipe.input_columns if not is_text(recipe, n)]
    low, high = splits["train"][numbers].min(), splits["train"][numbers].max()
    arrays = {}
    for split, frame in splits.items():
        codes = [pd.Index(splits["train"][n].unique()).get_indexer(frame[n]) + 1 for n in words]
        arrays[f"{split}/words"] = np.stack(codes, axis=1)
        arrays[f"{split}/numbers"] = ((frame[numbers] - low) / (high - low)).to_numpy(np.float32)
        arrays[f"{split}/labels"] = frame[[f"{t}/label" for t in recipe.tasks]].to_numpy(np.float32)
    np.savez(path, **arrays)


def rechub(python: Path, arrays: Path, architecture: str, seeds: int, kept: Path) -> list[dict]:
    """Per seed the test AUC of torch-rechub's model, a list by task, and the epoch chosen."""
    script = Path(__file__).with_name("census_rechub.py")
    found = []
    for seed in range(1, seeds + 1):
        path = kept / f"{architecture}-{seed}.json"
        if not path.exists():
            settings = json.dumps(BARS["rechub"] | {"architecture": architecture, "seed": seed})
            command = [str(python), str(script), str(arrays), settings]
            path.write_text(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode())
        found.append(json.loads(path.read_text()))
    return found


def difference(what: str, found: tuple[float, float, float]) -> str:
    mean, low, high = found
    return f"{what}: {mean:+.5f} ({low:+.5f} to {high:+.5f})"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark"))
    arguments.add_argument("--peer-python", type=Path, help="an interpreter that has torch-rechub")
    arguments.add_argument("--seeds", type=int, default=BARS["seeds"])
    given = arguments.parse_args()
    path = RECIPES / "census" / "recipe.yaml"
    recipe = load(path)
    run("census", 1, given.input, given.output)
    splits = {s: rows(recipe, given.output, s) for s in ("train", "validation", "test")}
    truth = {t: splits["test"][f"{t}/label"].to_numpy(float) for t in recipe.tasks}

    table = Table("model", *[f"{t}, 95 % interval over seeds" for t in recipe.tasks], "epochs kept")
    found, ours, theirs, missed = trees(recipe, splits["train"], splits["test"]), {}, {}, []
    peer = {t: auc(truth[t], found[t]) for t in recipe.tasks}
    table.add_row("trees, one a task", *[f"{v:.5f}" for v in peer.values()], "")
    for name, settings in BARS["architectures"].items():
        chosen = load(path, [f"model.architecture={json.dumps(settings)}"])
        runs = train_seeds(chosen, given.output, given.seeds, given.output / f"census-{name}")
        ours[name] = {t: [auc(truth[t], scores[t]) for scores in runs] for t in recipe.tasks}
        epochs = " ".join(str(int(r["epoch"])) for r in runs)
        table.add_row(name, *[shown(v, 5) for v in ours[name].values()], epochs)
    if given.peer_python:
        kept = given.output / "census-rechub"
        kept.mkdir(parents=True, exist_ok=True)
        write_peer_arrays(recipe, splits, kept / "arrays.npz")
        for name in BARS["architectures"]:
            runs = rechub(given.peer_python, kept / "arrays.npz", name, given.seeds, kept)
            theirs[name] = {t: [r["auc"][i] for r in runs] for i, t in enumerate(recipe.tasks)}
            epochs = " ".join(str(r["epoch"]) for r in runs)
            table.add_row(f"torch-rechub {name}", *[shown(v, 5) for v in theirs[name].values()], epochs)
            missed += [
                f"{name} {t}: torch-rechub {np.mean(theirs[name][t]):.5f}"
                for t in recipe.tasks
                if np.mean(ours[name][t]) <= np.mean(theirs[name][t])
            ]
    console = Console(width=140)
    console.print(table)
    for name, task in itertools.product(ours, recipe.tasks):
        of_trees = interval([v - peer[task] for v in ours[name][task]])
        said = [difference(f"{name} less trees, {task}", of_trees)]
        if theirs:
            pairs = zip(ours[name][task], theirs[name][task])
            said.append(difference("less torch-rechub's", interval([a - b for a, b in pairs])))
        console.print("; ".join(said))
        bar = BARS["beside_trees"]
        if name == bar["architecture"] and of_trees[1] < bar["lowest_difference"]:
            missed.append(f"{name} {task}: {of_trees[1]:+.5f} less than trees")
    if not theirs:
        console.print("torch-rechub was left out, and its bars are not judged: give --peer-python")
    console.print(f"missed: {'; '.join(missed)}" if missed else "every bar that was judged is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
