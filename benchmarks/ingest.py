"""How fast ingestion is, and how much memory it takes, beside two others on the same CSV in the same run.

`mtl_recommender` ingests a log of 42 columns with two catalogs joined, labels masked where their condition
fails, repeats dropped, unreadable rows in a dead-letter file, and a split by time, to gzipped shards of
tf.Examples. `polars` is a script that makes the same table with Polars and writes the same files with
TensorFlow's own writers (`ingest_polars.py`); its rows must be ours. `csv_example_gen` is TFX's
CsvExampleGen, which only turns the log's rows into examples, on the first rows of the same log.

    python benchmarks/ingest.py                  # 1 million rows, and memory at 1 and 4 million
    python benchmarks/ingest.py --rows 200000 --memory-rows 0

Each is a process of its own that is timed without its imports. All but Polars run twice, in turns, and both
runs count: the seconds of a shared machine drift. Bars are in `ingest.json`; exits 1 where one is missed.
Polars is not a dependency of the project; `.venv/bin/uv pip install --python .venv/bin/python
--require-hashes -r benchmarks/polars.lock` installs it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BARS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
START, DAYS, DAY_MS = 1_709_510_400_000, 10, 86_400_000
INTS, FLOATS, WORDS = 12, 10, 7
LABELS = ["click", "like", "watch_seconds", "purchase"]
RECIPE = f"""
version: 1
name: bench
sources:
  log:
    files: log-*.csv
    unique: [impression_id]
    columns:
      impression_id: int
      request_id: int
      user_id: string
      item_id: string
      timestamp: time
      position: int
      hour: int
      device: string
      surface: string
      click: {{type: int, known: after}}
      like: {{type: int, known: after}}
      watch_seconds: {{type: float, known: after}}
      purchase: {{type: int, known: after}}
{"".join(f"      int_{i}: int{chr(10)}" for i in range(INTS))}\
{"".join(f"      float_{i}: float{chr(10)}" for i in range(FLOATS))}\
{"".join(f"      word_{i}: string{chr(10)}" for i in range(WORDS))}\
  catalogs:
    users:
      files: users.csv
      key: user_id
      columns: {{user_id: string, age: int, segment: string, country: string, seniority: float}}
    items:
      files: items.csv
      key: item_id
      columns: {{item_id: string, category: string, brand: string, price: float, duration_s: float}}
roles: {{user: user_id, item: item_id, time: timestamp}}
features: {{user_id: {{kind: categorical}}}}
tasks:
  click: {{kind: binary, label: click}}
  like: {{kind: binary, label: like}}
  watch: {{kind: regression, label: watch_seconds, where: click == 1}}
  purchase: {{kind: binary, label: purchase, where: click == 1}}
splits: {{by: time, validation_from: 2024-03-12, test_from: 2024-03-13}}
model: {{architecture: {{name: hard_sharing}}}}
weighting: {{name: equal}}
gates: none
"""


def write_world(folder: Path, rows: int) -> None:
    """The log as CSV files of a day each, with catalogs. One row in a hundred is there twice, and one in a
    thousand has a word where its position should be."""
    import pyarrow as pa
    import pyarrow.csv

    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(7)
    users, items = max(rows // 40, 50), max(rows // 200, 50)

    def names(prefix: str, codes: np.ndarray) -> pa.Array:
        distinct = pa.array([f"{prefix}{i:07d}" for i in range(codes.max() + 1)])
        return distinct.take(pa.array(codes))

    def write(name: str, columns: dict) -> None:
        pa.csv.write_csv(pa.table(columns), folder / name)

    everyone, everything = np.arange(users), np.arange(items)
    write(
        "users.csv",
        {
            "user_id": names("u", everyone),
            "age": draw.integers(16, 80, users),
            "segment": names("s", draw.integers(0, 9, users)),
            "country": names("c", draw.integers(0, 40, users)),
            "seniority": draw.exponential(3, users).round(3),
        },
    )
    write(
        "items.csv",
        {
            "item_id": names("i", everything),
            "category": names("k", draw.integers(0, 30, items)),
            "brand": names("b", draw.integers(0, 200, items)),
            "price": draw.exponential(20, items).round(2),
            "duration_s": draw.exponential(60, items).round(1),
        },
    )
    for day in range(DAYS):
        mine = np.arange(rows * day // DAYS, rows * (day + 1) // DAYS)
        mine = np.concatenate([mine, mine[::100]])
        count = len(mine)
        click = draw.random(count) < 0.2
        nothing = ~click
        position = draw.integers(1, 21, count).astype(str).astype(object)
        position[draw.random(count) < 0.001] = "first"
        columns = {
            "impression_id": mine,
            "request_id": mine // 12,
            "user_id": names("u", (draw.random(count) ** 2 * users * 1.01).astype(np.int64)),
            "item_id": names("i", (draw.random(count) ** 3 * items * 1.01).astype(np.int64)),
            "timestamp": START + day * DAY_MS + draw.integers(0, DAY_MS, count),
            "position": pa.array(position, pa.string()),
            "hour": draw.integers(0, 24, count),
            "device": names("d", draw.integers(0, 4, count)),
            "surface": names("f", draw.integers(0, 3, count)),
            "click": click.astype(np.int64),
            "like": (draw.random(count) < 0.03).astype(np.int64),
            "watch_seconds": pa.array(draw.exponential(20, count).round(2), mask=nothing),
            "purchase": pa.array((draw.random(count) < 0.1).astype(np.int64), mask=nothing),
        }
        columns |= {f"int_{i}": draw.integers(0, 10 ** (1 + i % 6), count) for i in range(INTS)}
        columns |= {f"float_{i}": draw.normal(0, 10, count).round(4) for i in range(FLOATS)}
        columns |= {f"word_{i}": names("w", draw.integers(0, 10 ** (1 + i % 4), count)) for i in range(WORDS)}
        write(f"log-{day}.csv", columns)


def ours(world: Path, out: Path) -> dict:
    """Ingests the world."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.ingest.run import ingest
    from pipeline.recipe import loads

    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    begin = time.perf_counter()
    counts = ingest(loads(RECIPE), world, out, beam.Pipeline(options=options))
    return {
        "seconds": time.perf_counter() - begin,
        "rows": counts.read,
        "written": counts.written,
        "dropped": counts.rows_dropped,
        "dead": counts.rows_dead,
    }


def polars(world: Path, out: Path) -> dict:
    """The peer's script."""
    from ingest_polars import main

    return main(world, out)


def csv_example_gen(world: Path, out: Path) -> dict:
    """TFX's own component, on the head of the log's first file."""
    from tfx.components.example_gen.csv_example_gen.executor import Executor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    head = out / "head"
    head.mkdir(parents=True)
    rows = BARS["csv_example_gen_rows"]
    with (world / "log-0.csv").open() as source, (head / "log.csv").open("w") as target:
        for _, line in zip(range(rows + 1), source):
            target.write(line)
    examples = standard_artifacts.Examples()
    examples.uri = str(out / "examples")
    split = example_gen_pb2.Input.Split(name="all", pattern="*.csv")
    buckets = [
        example_gen_pb2.SplitConfig.Split(name=n, hash_buckets=b) for n, b in (("train", 2), ("eval", 1))
    ]
    properties = {
        "input_base": str(head),
        "input_config": proto_utils.proto_to_json(example_gen_pb2.Input(splits=[split])),
        "output_config": proto_utils.proto_to_json(
            example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=buckets))
        ),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
    }
    arguments = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
    context = BaseBeamExecutor.Context(beam_pipeline_args=arguments, tmp_dir=str(out / "tmp"), unique_id="1")
    begin = time.perf_counter()
    Executor(context).Do({}, {"examples": [examples]}, properties)
    return {"seconds": time.perf_counter() - begin, "rows": rows}


PEERS = {"mtl_recommender": ours, "polars": polars, "csv_example_gen": csv_example_gen}
TURNS = ("csv_example_gen", "mtl_recommender", "polars", "csv_example_gen", "mtl_recommender")


def measure(name: str, world: Path) -> dict:
    """Runs one of them in a process of its own: its result, with rows a second and peak memory."""
    with tempfile.TemporaryDirectory(dir=world.parent) as out:
        command = [sys.executable, __file__, "--one", name, str(world), out]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    found["rows_per_second"] = found["rows"] / found["seconds"]
    print(
        f"{name:16} {found['rows']:>10,} rows in {found['seconds']:6.1f} s: "
        f"{found['rows_per_second']:>10,.0f} rows/s, peak memory {found['peak_mb']:,.0f} MB",
        flush=True,
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="impressions; a hundredth more are repeats"
    )
    parser.add_argument("--memory-rows", type=int, default=4_000_000, help="memory is compared with; 0: not")
    parser.add_argument("--one", nargs=3, metavar=("WHO", "WORLD", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        who, world, out = arguments.one
        found = PEERS[who](Path(world), Path(out))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found | {"peak_mb": peak}))
        return 0
    failed = []

    def bar(what: str, value: float, name: str, at_least: bool) -> None:
        fine = value >= BARS[name] if at_least else value <= BARS[name]
        sign = "≥" if at_least else "≤"
        print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.2f} (bar: {sign} {BARS[name]:g})")
        failed.extend([] if fine else [what])

    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder, "world")
        write_world(world, arguments.rows)
        found: dict[str, list[dict]] = {name: [] for name in PEERS}
        for name in TURNS:
            found[name].append(measure(name, world))
        mine, theirs = found["mtl_recommender"][0], found["polars"][0]
        same = {key: mine[key] for key in ("rows", "written", "dropped", "dead")}
        if any(theirs[key] != value for key, value in same.items()):
            sys.exit(f"the two made different tables: {same} and {theirs}")
        rates = {
            n: sum(r["rows"] for r in runs) / sum(r["seconds"] for r in runs) for n, runs in found.items()
        }
        rate = rates["mtl_recommender"]
        times = rate / rates["csv_example_gen"]
        bar("times CsvExampleGen's rows a second", times, "over_csv_example_gen", True)
        bar("of the Polars script's rows a second", rate / rates["polars"], "of_polars", True)
        if arguments.memory_rows:
            larger = Path(folder, "larger")
            write_world(larger, arguments.memory_rows)
            growth = measure("mtl_recommender", larger)["peak_mb"] / mine["peak_mb"]
            bar(f"times the memory at {arguments.memory_rows:,} rows", growth, "memory_growth", False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
