"""What each step of a run costs per million rows, and whether that stays so from a quarter to two millions.

The demo's recipe runs as `mtl run` would run it, with one epoch of training: ingestion (with events matched
to impressions, two catalogs in memory and one of as many rows as the log, joined by key), statistics,
transform (with its vocabularies), training, and evaluation of the last day's rows with intervals, no serving
model beside. Each step and size runs in a process of its own, which takes the steps before from TFX's cache.

    python benchmarks/scale.py --output scale      # 250,000 to 2 million rows; 10 GB of disk, an hour or so
    python benchmarks/scale.py --output scale --rows 20000 40000

Processor-seconds are of the process and what it started, and are what linearity is judged by: on a machine
that does other work too, the clock tells of that work. A step is linear where the time of each size is near
the line through all of them (fitted to relative errors). Memory is the largest that the process was while the
step ran, with what its children held at most. Training is shown and not judged: it holds its rows in memory.
What was measured is kept in OUTPUT and not measured again, so that a benchmark that was interrupted goes on.
Bars are in `scale.json`; exits 1 where one is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil

BARS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
RECIPE = Path(__file__).resolve().parents[1] / "data/demo/recipe.yaml"
SIZES = [250_000, 500_000, 1_000_000, 2_000_000]
# what is shown -> the steps it is made of, in the order of the pipeline
STEPS = {
    "ingestion": ["Ingest"],
    "statistics": ["StatisticsGen"],
    "transform": ["BuildVocabularies", "Transform"],
    "training": ["Trainer"],
    "evaluation": ["Evaluate"],
}
JUDGED = [name for name in STEPS if name != "training"]


class Children:
    """The most memory that this process' children held together since `restart`, in bytes."""

    def __init__(self, every: float = 0.25):
        self.peak, self._every = 0, every
        threading.Thread(target=self._watch, daemon=True).start()

    def restart(self) -> None:
        self.peak = 0

    def _watch(self) -> None:
        me, wait = psutil.Process(), threading.Event()
        while not wait.wait(self._every):
            held = 0
            for child in me.children(recursive=True):
                try:
                    held += child.memory_info().rss
                except psutil.NoSuchProcess:
                    pass
            self.peak = max(self.peak, held)


def measure(step: str, place: Path) -> dict[str, float]:
    """Runs the pipeline up to a step that has not run yet, and measures that step.

    Args:
      step: its name in the pipeline.
      place: of a world in `world/`; outputs go beside it.
    """
    from pipeline.pipeline import create_pipeline
    from pipeline.plan import make_plan
    from pipeline.recipe import load
    from pipeline.runners.local import Step, StepFailed, run_steps

    recipe = load(RECIPE, ["training.epochs=1"])
    plan = make_plan(recipe, RECIPE, place / "world", place / "output", f"until-{step}-{os.getpid()}")
    pipeline, stop, found = create_pipeline(plan), threading.Event(), {}
    children, before = Children(), 0.0

    def start(name: str, at: int, of: int) -> None:
        nonlocal before
        before = sum(os.times()[:4])
        children.restart()

    def end(done: Step) -> None:
        if done.name != step:
            return
        if done.cached:
            sys.exit(f"{step} has run in {place}, and what it took is not known: delete {place / 'output'}")
        cpu = sum(os.times()[:4]) - before
        found.update(cpu=cpu, wall=done.seconds, memory_mb=(done.memory + children.peak) / 2**20)
        stop.set()  # the run ends before the next step

    try:
        run_steps(pipeline, plan.run, start, end, stop)
    except StepFailed as failed:
        if not isinstance(failed.__cause__, KeyboardInterrupt):
            raise
    return found


def counted(place: Path) -> dict[str, int]:
    """Rows that were read, and those that are evaluated."""
    [file] = (place / "output/demo/artifacts/Ingest/examples").glob("*/counts.json")
    counts = json.loads(file.read_text())
    return {"rows": counts["read"], "test": counts["written"]["test"]}


def measured(output: Path, rows: int) -> dict[str, dict[str, float]]:
    """Each part's cost at one size: what it takes in rows, seconds and memory; measured where not kept."""
    place = output / f"{rows}"
    if not (place / "world/world.json").exists():
        command = [sys.executable, "-m", "pipeline", "data", "demo", "--rows", str(rows)]
        subprocess.run([*command, "--out", str(place / "world")], stdout=subprocess.DEVNULL, check=True)
    kept: dict[str, dict[str, float]] = {}
    for step in (step for steps in STEPS.values() for step in steps):
        path = place / f"{step}.json"
        if not path.exists():
            with (place / f"{step}.log").open("w") as log:
                command = [sys.executable, __file__, "--one", step, str(place), str(path)]
                subprocess.run(command, stdout=log, stderr=log, check=True)
            print(f"{rows:>9,} rows: {step} {json.loads(path.read_text())['cpu']:,.1f} s", flush=True)
        kept[step] = json.loads(path.read_text())
    read = counted(place)
    return {
        name: {
            "rows": read["test" if name == "evaluation" else "rows"],
            "cpu": sum(kept[step]["cpu"] for step in steps),
            "wall": sum(kept[step]["wall"] for step in steps),
            "memory_mb": max(kept[step]["memory_mb"] for step in steps),
        }
        for name, steps in STEPS.items()
    }


def line(rows: np.ndarray, seconds: np.ndarray) -> tuple[float, float, np.ndarray]:
    """The line through times by relative least squares: seconds at 0 rows, seconds a row, relative errors."""
    weighted = np.stack([1 / seconds, rows / seconds], axis=1)
    (fixed, each), *_ = np.linalg.lstsq(weighted, np.ones(len(rows)), rcond=None)
    return float(fixed), float(each), (fixed + each * rows) / seconds - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="worlds, runs and what was measured")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="impressions, ascending")
    if sys.argv[1:2] == ["--one"]:
        step, place, path = sys.argv[2:]
        found = measure(step, Path(place))
        Path(path).write_text(json.dumps(found))
        return 0
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    sizes = {rows: measured(output, rows) for rows in sorted(arguments.rows)}
    small, large = min(sizes), max(sizes)
    failed = []

    def bar(what: str, value: float, name: str) -> None:
        fine = value <= BARS[name]
        print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.2f} (bar: ≤ {BARS[name]:g})")
        failed.extend([] if fine else [what])

    print(f"\n{'':11}{'rows':>10}{'processor-s':>13}{'a million':>11}{'wall s':>9}{'a million':>11}{'MB':>8}")
    for name in STEPS:
        for found in (sizes[rows][name] for rows in sizes):
            millions = found["rows"] / 1e6
            print(
                f"{name:11}{found['rows']:>10,}{found['cpu']:>13.1f}{found['cpu'] / millions:>11.1f}"
                f"{found['wall']:>9.1f}{found['wall'] / millions:>11.1f}{found['memory_mb']:>8,.0f}"
            )
    print()
    for name in STEPS:
        of = [found[name] for found in sizes.values()]
        rows, cpu = (np.array([f[key] for f in of], float) for key in ("rows", "cpu"))
        fixed, each, off = line(rows, cpu)
        print(f"     {name}: {fixed:.1f} s + {each * 1e6:.1f} processor-seconds a million rows")
        if name in JUDGED:
            bar(f"{name}'s farthest time from the line, of its own", float(np.abs(off).max()), "off_line")
            growth = sizes[large][name]["memory_mb"] / sizes[small][name]["memory_mb"]
            bar(f"{name}'s memory at {large:,} rows over that at {small:,}", growth, "memory_growth")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
