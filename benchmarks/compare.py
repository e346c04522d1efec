"""Does `mtl compare` say what was planted? Worlds whose tasks help, hinder or leave alone one another.

    python benchmarks/compare.py [--world SEED] [--repeats N] [--output FOLDER]

The demo's generator makes the same users, items and traffic with three relations between the tasks:
`synergy`, `conflict` and `independent` (see `pipeline.demo.relations`). Each world goes through the pipeline
once, then `mtl compare` sets hard sharing (compare.yaml, the same for all) against one model a task, and
again with other seeds of training. Verdicts are held against those of compare.json, and the share of
validation batches in which two tasks' gradients oppose each other against its bounds; the exit code is 1
where one differs. What was run and trained is kept in OUTPUT: a benchmark that was interrupted goes on.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.demo import generate

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
RECIPE = Path(__file__).with_suffix(".yaml")


def mtl(*arguments: object) -> None:
    """Runs a command of `mtl`; ends the benchmark where it fails."""
    code = subprocess.run([sys.executable, "-m", "pipeline", *map(str, arguments)], check=False).returncode
    if code:
        sys.exit(f"mtl {' '.join(map(str, arguments))} ended with {code}")


def compared(relation: str, world: int, repeat: int, output: Path) -> dict:
    """compare.json of a planted world, with seeds of training that no other repeat has."""
    home = output / f"{relation}-{world}"
    if not (home / "planted" / "latest").exists():
        data = output / "worlds" / home.name
        generate(data, BARS["rows"], world, relation=relation)
        mtl("run", RECIPE, "--input", data, "--output", home)
    seed = 1 + repeat * BARS["seeds"]
    mtl("compare", RECIPE, "--output", home, "--seeds", BARS["seeds"], "--set", f"training.seed={seed}")
    return json.loads((home / "planted" / "compare" / "latest" / "compare.json").read_text())


def missed(relation: str, variant: dict) -> list[str]:
    """What differs from what was planted."""
    verdicts = {task: of["verdict"] for task, of in variant["tasks"].items()}
    never = BARS["never"].get(relation)
    found = [
        f"{relation}, {task}: '{verdicts[task]}', planted was '{wanted}'"
        for task, wanted in BARS["expected"][relation].items()
        if verdicts[task] != wanted
    ]
    found += [f"{relation}, {task}: '{v}'" for task, v in verdicts.items() if v == never]
    opposed = BARS["opposed"]
    low, high = opposed.get(relation, (0.0, 1.0))
    share = variant["gradients"]["pairs"][opposed["pair"]]["negative"]
    if not low <= share <= high:
        found.append(f"{relation}, {opposed['pair']}: opposed in {share:.0%} of batches, not {low} to {high}")
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--world", type=int, default=1, help="the generator's seed")
    arguments.add_argument("--repeats", type=int, default=BARS["repeats"])
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark-compare"))
    given = arguments.parse_args()
    table = Table("relation", "seeds", "task", "alone", "together", "difference", "95 % interval", "verdict")
    failures = []
    for relation in BARS["expected"]:
        for repeat in range(given.repeats):
            found = compared(relation, given.world, repeat, given.output)
            [variant] = found["variants"]
            failures += missed(relation, variant)
            for task, of in variant["tasks"].items():
                d = of["metrics"][of["metric"]]
                numbers = (f"{d['single_task']:.3f}", f"{d['value']:.3f}", f"{d['difference']:+.3f}")
                seeds = f"{found['seeds'][0]} to {found['seeds'][-1]}"
                table.add_row(
                    relation, seeds, task, *numbers, f"{d['low']:+.3f} to {d['high']:+.3f}", of["verdict"]
                )
    console = Console(width=110)
    console.print(table)
    console.print(f"missed: {'; '.join(failures)}" if failures else "every verdict is what was planted")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
