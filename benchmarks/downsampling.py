"""What training on a fifth of the negatives costs and saves, on KuaiRand through the whole pipeline.

    python benchmarks/downsampling.py --input FOLDER [--output FOLDER]

Runs the recipe on the full log, and with `downsampling` corrected by weight and by logit; training, and all
before it, is made anew for each. Metrics are on test, which keeps every row: calibration is the mean
prediction over the mean label. `as sampled` is the logit run without its correction, worked out from its
predictions: what would be served if nobody corrected. Bars are in downsampling.json; the exit code is 1 where
a mean over the seeds misses one.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from runs import run

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
TASK, KEEP = BARS["task"], BARS["keep"]
STEPS = ("Ingest", "StatisticsGen", "BuildVocabularies", "Transform", "Trainer")
CORRECTIONS = ("weight", "logit")
WAYS = {"full": ()} | {
    way: (f"downsampling={{task: {TASK}, keep: {KEEP}, correction: {way}}}",) for way in CORRECTIONS
}


def as_sampled(output: Path) -> float:
    """Calibration of the task on test, had nobody corrected the newest run's predictions."""
    folders = (output / "kuairand/artifacts/Evaluate/evaluation").iterdir()
    scores = pd.read_parquet(max(folders, key=lambda path: int(path.name)) / "scores.parquet")
    p = scores[f"{TASK}/prediction"].to_numpy()
    return float(np.mean(p / (p + KEEP * (1 - p))) / scores[f"{TASK}/label"].mean())


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--output", type=Path, default=Path("output/downsampling"))
    arguments.add_argument("--seeds", type=int, default=BARS["seeds"])
    given = arguments.parse_args()
    found: dict[str, list[dict]] = {way: [] for way in WAYS}
    uncorrected = []
    for way, settings in WAYS.items():
        for seed in range(1, given.seeds + 1):
            found[way].append(run("kuairand", seed, given.input, given.output / way, *settings))
            if way == "logit":
                uncorrected.append(as_sampled(given.output / way))
    return show(found, uncorrected)


def show(found: dict[str, list[dict]], uncorrected: list[float]) -> int:
    """Prints what was found, and returns the exit code."""
    missed: list[str] = []
    table = Table("task", "metric", *WAYS, "bar")
    for task, first in found["full"][0]["tasks"].items():
        for metric in ("auc", "mae", "calibration"):
            if first["metrics"].get(metric) is None:
                continue
            means = {
                way: float(np.mean([r["tasks"][task]["metrics"][metric] for r in runs]))
                for way, runs in found.items()
            }
            bar = BARS.get(metric, {}).get(task)
            said = ""
            for way in CORRECTIONS if bar else ():
                if metric == "calibration":
                    said = f"within {bar:g} of full"
                    kept = abs(means[way] - means["full"]) <= bar
                else:
                    said = f"at most {bar:g} below full"
                    kept = means[way] >= means["full"] - bar
                missed += [] if kept else [f"{task} {metric} by {way}"]
            table.add_row(task, metric, *[f"{value:.4f}" for value in means.values()], said)
    rows = {way: runs[0]["rows"]["train"] for way, runs in found.items()}
    share = BARS["rows"]
    table.add_row("", "rows trained on", *[f"{n:,}" for n in rows.values()], f"at most {share:g} of full")
    missed += [f"rows by {way}" for way in CORRECTIONS if rows[way] > share * rows["full"]]
    # of the first seed, which finds nothing in the cache
    table.add_row(
        "", "epochs kept", *[str([r["training"]["best_epoch"] for r in f]) for f in found.values()], ""
    )
    for step in STEPS:
        table.add_row("", f"{step}, s", *[f"{runs[0]['seconds'][step]:.1f}" for runs in found.values()], "")
    console = Console(width=140)
    console.print(table)
    worst = min(uncorrected)
    console.print(f"calibration of {TASK} as sampled, uncorrected: {worst:.2f} to {max(uncorrected):.2f}")
    if worst < BARS["as_sampled_at_least"]:
        missed.append("as sampled")
    console.print(f"missed: {', '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
