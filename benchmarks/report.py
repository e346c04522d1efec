"""How long a large report takes to open in a real browser.

A run of 30 tasks and 200 slices of each, a serving model beside it, 20 epochs, 435 pairs of tasks and 8
experts is written by the project's own renderer, then opened in headless Chromium at desktop and phone
width; seconds are from navigation until the page is loaded, its table of slices made, and drawn. A page that
asks the network for anything, writes to the console or is wider than the window fails too.

    python benchmarks/report.py [--tasks 30] [--slices 200] [--out FOLDER]

Bars are in `report.json`; exits 1 where one is missed, 2 without a browser (see `browser.py`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BARS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
EPOCHS, EXPERTS = 20, 8
PROBABILITIES = (
    "auc",
    "pr_auc",
    "gauc",
    "ndcg_at_k",
    "mrr",
    "recall_at_k",
    "logloss",
    "normalized_entropy",
    "ece",
)
KINDS = {
    "binary": (*PROBABILITIES, "calibration"),
    "regression": ("mae", "rmse", "r2", "spearman", "quantile_loss", "calibration"),
}


def facts(tasks: int, slices: int):
    """A run with everything that a run can have, of random numbers."""
    from pipeline.evaluation.gates import Gate, judge_all
    from pipeline.evaluation.table import OVERALL, MetricRow, MetricsTable
    from pipeline.report.facts import DeadRows, RowCounts, RunFacts

    draw = np.random.default_rng(3)
    names = {f"task_{i:02}": "regression" if i % 5 == 4 else "binary" for i in range(tasks)}
    parts = [OVERALL, *(f"feature_{i // 20}=value {i % 20}" for i in range(slices))]
    rows, curves = [], []
    for task, kind in names.items():
        for place, part in enumerate(parts):
            for metric in KINDS[kind]:
                value, wide = draw.uniform(0.5, 0.9), 0.005 if part == OVERALL else draw.uniform(0.01, 0.1)
                change = draw.normal(0, wide / 2)
                ends = (value - wide, value + wide, change - wide / 2, change + wide / 2)
                rows.append(
                    MetricRow(
                        task, part, metric, value, value - change, *ends, examples=50_000 // (place + 1)
                    )
                )
        for score in ("prediction", "baseline") if kind == "binary" else ():
            for at in range(20):
                label = (at + 0.5) / 20
                curves.append(
                    {
                        "task": task,
                        "score": score,
                        "bin": at,
                        "weight": 2500.0,
                        "mean_label": label,
                        "mean_prediction": min(max(label + draw.normal(0, 0.01), 0.0), 1.0),
                        "low": label - 0.02,
                        "high": min(label + 0.02, 1.0),
                    }
                )
    table = MetricsTable(rows)
    pairs = [f"{a} and {b}" for i, a in enumerate(names) for b in list(names)[i + 1 :]]
    experts = [f"expert_{i}" for i in range(EXPERTS)]
    epochs = [
        {
            "epoch": epoch,
            "losses": {"total": tasks / epoch, **{task: 1 / epoch for task in names}},
            "task_weights": {task: draw.uniform(0.5, 2) for task in names},
            "validation": {
                task: {"auc" if kind == "binary" else "mae": 0.8 - 0.2 / epoch}
                for task, kind in names.items()
            },
            "objective": 1 - 1 / epoch,
            "learning_rate": 0.002,
            "seconds": 2.0,
            "gates": {
                task: {
                    "mean": dict(zip(experts, draw.dirichlet(np.ones(EXPERTS)), strict=True)),
                    "load": dict(zip(experts, draw.dirichlet(np.ones(EXPERTS)), strict=True)),
                    "entropy": draw.uniform(0.5, 1),
                }
                for task in names
            },
            "gradients": {
                "norms": {task: draw.uniform(0.01, 0.1) for task in names},
                "cosines": {pair: draw.uniform(-0.4, 0.6) for pair in pairs},
                "conflicts": {pair: draw.uniform(0, 1) for pair in pairs},
            },
        }
        for epoch in range(1, EPOCHS + 1)
    ]
    gates = [
        Gate(task, "auc" if kind == "binary" else "mae", lower=0.4, max_drop=0.005)
        for task, kind in names.items()
    ]
    steps = ("Ingest", "StatisticsGen", "Transform", "Trainer", "Evaluate", "ServingCheck", "Gate", "Push")
    verdicts = judge_all(gates, table)
    failed = [verdict.sentence for verdict in verdicts if verdict.status == "failed"]
    dead = DeadRows("log", "time: missing", 1200, 2_000_000, "time is missing", "day.parquet", 17)
    return RunFacts(
        recipe="synthetic",
        run="20260101T000000Z",
        status="refused" if failed else "pushed",
        reason="; ".join(failed) or "every gate passed; version 2 serves from now on",
        pushed=None if failed else "output/synthetic/serving/2",
        blessed=not failed,
        started="2026-01-01T00:00:00+00:00",
        kinds=names,
        serving_model="version 1",
        rows=RowCounts(
            2_000_000, 1_600_000, 200_000, 198_800, 0, 1200, {}, {"time: missing": 1200}, dead_letters=[dead]
        ),
        table=table,
        reliability=curves,
        verdicts=verdicts,
        training={"epochs": epochs, "best_epoch": 17, "objective": "the mean gain on validation"},
        seconds={step: 10.0 * i + 1 for i, step in enumerate(steps)},
        memory={step: 10**9 + 10**8 * i for i, step in enumerate(steps)},
        versions={"tensorflow": "2.21.0"},
        recipe_text="name: synthetic\nevaluation: {k: 10}\n",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--out", type=Path, help="keeps the report and gets screenshots")
    arguments = parser.parse_args()
    from pipeline.report.write import write_report

    failed = []

    def bar(what: str, value: float, at_most: float) -> None:
        fine = value <= at_most
        print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.2f} (bar: ≤ {at_most:g})")
        failed.extend([] if fine else [what])

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        begin = time.perf_counter()
        write_report(facts(arguments.tasks, arguments.slices), folder)
        page = folder / "index.html"
        print(f"{page.stat().st_size / 1e6:.1f} MB, made and written in {time.perf_counter() - begin:.1f} s")
        command = [sys.executable, str(Path(__file__).with_name("browser.py")), str(page)]
        command += ["--out", str(folder)] if arguments.out else []
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if ran.returncode:
            return ran.returncode
    found = json.loads(ran.stdout)
    for width, of in found["widths"].items():
        bar(f"seconds to open at {width} pixels", of["seconds"], BARS["seconds"])
        bar(f"pixels wider than the window at {width}", of["wider"], 0)
    for what in ("requests", "errors"):
        bar(what, len(found[what]), 0)
        print(*found[what][:5], sep="\n", end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
