"""Reading examples: TFXIO's own reader against ours, and what that makes of a whole KuaiRand run.

    python benchmarks/read.py [--rows N] [--input KUAIRAND] [--output FOLDER]

Generates and ingests the demo's world, then reads all of its examples as a Beam source and counts them, in
this process and in turns; of each reader the fastest of a few rounds counts, and the processor seconds are
those of all threads. With --input, runs the KuaiRand recipe whole with each reader (Transform then also
writes as TFX does) and shows every step. The bar is in read.json; the exit code is 1 where it is missed.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from rich.table import Table
from runs import RECIPES
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

from pipeline.demo import generate
from pipeline.ingest.run import ingest
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from pipeline.shards.tfxio import ShardedExamples

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
OPTIONS = ("--runner=DirectRunner", "--direct_running_mode=in_memory")
_ROWS = "rows"


def count(source: beam.PTransform | None) -> int:
    """Rows that a source gives; without one, the same pipeline over a single number."""
    pipeline = beam.Pipeline(options=PipelineOptions(OPTIONS))
    batches = pipeline | (beam.Create([1]) if source is None else source)

    def add(batch: object) -> None:
        beam.metrics.Metrics.counter("read", _ROWS).inc(getattr(batch, "num_rows", 1))

    _ = batches | beam.Map(add) | beam.combiners.Count.Globally()
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_name(_ROWS))["counters"]
    return sum(c.committed for c in counters)


def fastest(rounds: int, work: dict[str, Callable[[], int]]) -> dict[str, tuple[int, float, float]]:
    """Result, wall and processor seconds of each, taken in turns: the least of the rounds."""
    best: dict[str, tuple[int, float, float]] = {}
    for _ in range(rounds):
        for name, run in work.items():
            wall, cpu = time.perf_counter(), time.process_time()
            result = run()
            took = (result, time.perf_counter() - wall, time.process_time() - cpu)
            before = best.get(name, took)
            best[name] = (result, min(before[1], took[1]), min(before[2], took[2]))
    return best


def make_examples(folder: str, rows: int) -> None:
    """The demo's world and its examples."""
    generate(Path(folder, "world"), rows, seed=0)
    recipe = load(RECIPES / "demo" / "recipe.yaml")
    pipeline = beam.Pipeline(options=PipelineOptions(OPTIONS))
    ingest(recipe, Path(folder, "world"), Path(folder, "examples"), pipeline)


def readers(rows: int) -> bool:
    """Shows both readers on the demo's examples; whether the bar is met."""
    schema = schema_proto(load(RECIPES / "demo" / "recipe.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own: after an ingestion, both readers take longer
        making = multiprocessing.get_context("spawn").Process(target=make_examples, args=(folder, rows))
        making.start()
        making.join()
        if making.exitcode:
            sys.exit("the demo's world could not be ingested")
        patterns = [f"{folder}/examples/Split-{s}/*" for s in ("train", "validation", "test")]
        found = fastest(
            BARS["rounds"],
            {
                "Beam alone": lambda: count(None),
                "TFXIO": lambda: count(
                    TFExampleRecord(patterns, schema=schema, telemetry_descriptors=["read"]).BeamSource()
                ),
                "ours": lambda: count(ShardedExamples(patterns, schema).BeamSource()),
            },
        )
    table = Table("reader", "rows", "seconds", "processor seconds", "rows/s")
    for name, (result, wall, cpu) in found.items():
        speed = "" if name == "Beam alone" else f"{result / wall:,.0f}"
        table.add_row(name, f"{result:,}", f"{wall:.2f}", f"{cpu:.2f}", speed)
    Console(width=100).print(table)
    for name in ("TFXIO", "ours"):
        if found[name][0] != rows:
            sys.exit(f"{name} read {found[name][0]:,} of {rows:,} rows")
    times = found["TFXIO"][1] / found["ours"][1]
    print(f"ours reads {times:.1f} times as fast; bar: >= {BARS['times_stock']:g}")
    return times >= BARS["times_stock"]


def whole_runs(data: Path, output: Path) -> None:
    """Runs KuaiRand with each reader, in processes of their own, without a cache."""
    seconds = {}
    for name in ("TFXIO", "ours"):
        command = [sys.executable, __file__, "--input", str(data), "--output", str(output / name)]
        ran = subprocess.run([*command, "--only", name], check=False)
        if ran.returncode not in (0, 3):
            sys.exit(f"the run with {name} ended with {ran.returncode}")
        report = output / name / "kuairand/latest/report/metrics.json"
        seconds[name] = json.loads(report.read_text())["seconds"]
    table = Table("step", *seconds)
    for step in seconds["ours"]:
        table.add_row(step, *(f"{s[step]:.1f} s" for s in seconds.values()))
    Console(width=100).print(table)


def run_with(name: str, data: Path, output: Path) -> int:
    """One run of KuaiRand in this process; TFX's own reader and writer where `name` says so."""
    from pipeline.components import statistics, transform
    from pipeline.run import run

    if name == "TFXIO":
        for module in (statistics, transform):
            module.replaced = lambda *_: contextlib.nullcontext()
    return run(RECIPES / "kuairand" / "recipe.yaml", data, output, cache=False)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=BARS["rows"])
    arguments.add_argument("--input", type=Path)
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark/read"))
    arguments.add_argument("--only", choices=("TFXIO", "ours"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.only:
        return run_with(given.only, given.input, given.output)
    kept = readers(given.rows)
    if given.input:
        whole_runs(given.input, given.output)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
