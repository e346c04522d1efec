"""What vectors of pictures and titles are worth: on items that training never saw, and over all rows.

    python benchmarks/content.py [--seeds N] [--output FOLDER]

The demo's world with a content effect, a fifth of whose items are shown on the last two days alone, goes
through `data/demo_content/recipe.yaml`, and through the same recipe without its vision and text features.
On the test day's rows of new items: the share of the gap between item popularity (an item that was never
shown has none: all are alike) and the true propensities that each model closes, in AUC of clicks. Over all
rows: the difference between the two models' AUC with a 95 % interval by user. Held against content.json;
the exit code is 1 where a bar is missed. What was run is kept in OUTPUT.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from pipeline.demo import generate
from pipeline.evaluation.auc import auc
from pipeline.evaluation.replicates import poisson_counts

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
RECIPE = Path(__file__).resolve().parents[1] / "data" / "demo_content" / "recipe.yaml"


def without_vectors(recipe: dict) -> dict:
    """The recipe without what reads pictures and titles."""
    read = {name for name, feature in recipe["features"].items() if feature["kind"] in ("vision", "text")}
    model = dict(recipe["model"])
    model["interactions"] = [pair for pair in model["interactions"] if not read & set(pair)]
    for setting in ("vector_units", "learned_absent"):
        del model[setting]
    features = {name: feature for name, feature in recipe["features"].items() if name not in read}
    return {k: v for k, v in recipe.items() if k != "encoders"} | {"model": model, "features": features}


def scores(name: str, recipe: dict, seed: int, data: Path, output: Path) -> dict[str, np.ndarray]:
    """Columns of the test rows' scores, from a run of its own."""
    output = output / f"{name}-{seed}"
    if not list(output.glob("*/latest/report/metrics.json")):
        output.mkdir(parents=True, exist_ok=True)
        path = output / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        command = [sys.executable, "-m", "pipeline", "run", path, "--input", data, "--output", output]
        settings = (f"training.seed={seed}", "gates=none", "evaluation.replicates=0")
        for setting in settings:
            command += ["--set", setting]
        code = subprocess.run([str(c) for c in command], check=False).returncode
        if code:
            sys.exit(f"the run {output.name} ended with {code}")
    found = output.glob("*/artifacts/Evaluate/evaluation/*/scores.parquet")
    path = max(found, key=lambda p: p.stat().st_mtime)
    wanted = ("role/user", "slice/new_item", "click/label", "click/prediction", "click/reference/ceiling")
    table = pq.read_table(path, columns=list(wanted))
    return {name: table[name].to_numpy() for name in wanted}


def measured(with_: dict, without: dict) -> dict[str, float]:
    """What the bars are about."""
    labels, users = with_["click/label"], np.unique(with_["role/user"], return_inverse=True)[1]
    if not np.array_equal(labels, without["click/label"]):
        sys.exit("the two runs scored other rows, or in another order")
    new = with_["slice/new_item"].astype(bool)
    rows = {
        "with": with_["click/prediction"],
        "without": without["click/prediction"],
        "ceiling": with_["click/reference/ceiling"],
        "popularity": np.zeros(len(labels)),
    }
    cold = {name: auc(labels[new], score[new]) for name, score in rows.items()}
    counts = poisson_counts(np.arange(users.max() + 1, dtype=np.uint64), BARS["replicates"])
    gains = [
        auc(labels, rows["with"], drawn[users]) - auc(labels, rows["without"], drawn[users])
        for drawn in counts.T.astype(np.float64)
    ]
    low, high = np.percentile(gains, (2.5, 97.5))
    gap = cold["ceiling"] - cold["popularity"]
    return {
        "cold_rows": int(new.sum()),
        **{f"cold_{name}": value for name, value in cold.items()},
        "closed_with": (cold["with"] - cold["popularity"]) / gap,
        "closed_without": (cold["without"] - cold["popularity"]) / gap,
        "all_with": auc(labels, rows["with"]),
        "all_without": auc(labels, rows["without"]),
        "all_ceiling": auc(labels, rows["ceiling"]),
        "gain_low": low,
        "gain_high": high,
    }


def main() -> int:
    """Prints the table; 1 where a bar is missed."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=1, help="of training")
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark-content"))
    given = arguments.parse_args()
    data = given.output / "world"
    if not (data / "world.json").is_file() or not json.loads((data / "world.json").read_text())["complete"]:
        generate(data, BARS["rows"], BARS["seed"], BARS["content_effect"], new_items=BARS["new_items"])
    recipe = yaml.safe_load(RECIPE.read_text())
    table, missed = Table("seed", "what", "value"), []
    for seed in range(1, given.seeds + 1):
        with_ = scores("with", recipe, seed, data, given.output)
        without = scores("without", without_vectors(recipe), seed, data, given.output)
        found = measured(with_, without)
        for name, value in found.items():
            table.add_row(str(seed), name, f"{value:,.4f}" if isinstance(value, float) else f"{value:,}")
        for name in ("closed_with", "closed_without"):
            low, high = BARS["bars"][name]
            if not low <= found[name] <= high:
                missed.append(f"seed {seed}: {name} is {found[name]:.3f}, not {low} to {high}")
        if not found["gain_low"] > BARS["bars"]["gain_low"]:
            missed.append(f"seed {seed}: the gain over all rows may be {found['gain_low']:.4f}")
    Console().print(table)
    for line in missed:
        print(line)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
