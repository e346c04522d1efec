"""How fast evaluation with intervals is, and how much memory it takes, beside stock TFMA in the same run.

`mtl_recommender` evaluates a scores file of 4 tasks (3 binary, a regression) and a serving model's scores of
the same rows, overall and in 20 slices, with 200 bootstrap replicates by user: every metric that the project
has. `tfma` is TensorFlow Model Analysis as it comes, on the first rows of the same file and with far less to
do: one of the tasks and one model, its log loss and calibration, in the same slices, with its own
intervals by Poisson bootstrap (20 replicates, of rows). `tfma_with_auc` is the same with its AUC, which we
have as well and which takes it several times as long, on a tenth of those rows; the bar is held without.

    python benchmarks/evaluate.py                # 1 million rows, and memory at 1 and 4 million
    python benchmarks/evaluate.py --rows 100000 --memory-rows 0

Each is a process of its own that is timed without its imports. Bars are in `evaluate.json`; exits 1 where one
is missed.
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
BINARY, REGRESSION = ("click", "like", "buy"), ("watch",)
FEATURES, VALUES = ("tab", "age", "country", "hour"), 5
ROWS_A_GROUP = 1 << 16


def write_scores(path: Path, rows: int) -> None:
    """Scores of forty rows a user, ten a request; `buy` is known of a fifth of the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, writer = np.random.default_rng(7), None
    for start in range(0, rows, ROWS_A_GROUP):
        at = np.arange(start, min(start + ROWS_A_GROUP, rows))
        count = len(at)
        request = at // 10
        user = (request * 2654435761) % max(rows // 40, 1)
        taste = np.sin(user) + draw.normal(size=count)
        columns = {
            "role/user": pa.array(np.char.add("u", user.astype(str))),
            "role/item": (draw.random(count) ** 2 * 5000).astype(np.int64),
            "role/request": request,
        }
        columns |= {f"slice/{f}": draw.integers(0, VALUES, count) for f in FEATURES}
        for i, task in enumerate(BINARY):
            p = 1 / (1 + np.exp(1 + i - taste))
            columns |= {
                f"{task}/label": (draw.random(count) < p).astype(np.float64),
                f"{task}/mask": np.ones(count) if task != "buy" else (draw.random(count) < 0.2) * 1.0,
                f"{task}/prediction": 1 / (1 + np.exp(1 + i - taste + draw.normal(0, 0.5, count))),
                f"{task}/baseline": 1 / (1 + np.exp(1 + i - taste + draw.normal(0, 0.8, count))),
            }
        for task in REGRESSION:
            columns |= {
                f"{task}/label": np.exp(taste + draw.normal(size=count)),
                f"{task}/mask": np.ones(count),
                f"{task}/prediction": np.exp(taste) * 1.6,
                f"{task}/baseline": np.exp(taste + draw.normal(0, 0.5, count)) * 1.5,
            }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def ours(scores: Path, out: Path) -> dict:
    """Every metric of both models, slice and difference."""
    import pyarrow.parquet as pq

    from pipeline.evaluation.evaluate import evaluate_scores

    begin = time.perf_counter()
    table = evaluate_scores(
        scores,
        [*((task, "binary") for task in BINARY), *((task, "regression") for task in REGRESSION)],
        FEATURES,
        out / "tfma",
        roles=["user", "item", "request"],
        max_slice_values=20,
        replicates=200,
        k=10,
        quantile=0.5,
    ).table
    seconds = time.perf_counter() - begin
    assert len(table.slices("click")) == 1 + len(FEATURES) * VALUES
    assert all(row.diff_low is not None for row in table if row.metric == "auc")
    return {"seconds": seconds, "rows": pq.read_metadata(scores).num_rows, "answers": len(table)}


def tfma(scores: Path, rows: int, *more_metrics: str) -> dict:
    """Stock TFMA on the head of the scores, handed to it in memory as examples with their predictions."""
    import apache_beam as beam
    import pyarrow.parquet as pq
    import tensorflow_model_analysis as model_analysis
    from apache_beam.options.pipeline_options import PipelineOptions
    from google.protobuf import text_format
    from tensorflow_model_analysis.proto import config_pb2

    task = BINARY[0]
    names = [f"{task}/{part}" for part in ("label", "mask", "prediction")]
    with pq.ParquetFile(scores) as file:
        batch = next(file.iter_batches(rows, columns=names + [f"slice/{f}" for f in FEATURES]))
    metrics = ("ExampleCount", "Calibration", "BinaryCrossentropy", *more_metrics)
    config = text_format.Parse(
        f"""
        model_specs {{ label_key: "{task}/label" prediction_key: "{task}/prediction"
          example_weight_key: "{task}/mask" }}
        slicing_specs {{ }}
        {" ".join(f'slicing_specs {{ feature_keys: "{f}" }}' for f in FEATURES)}
        metrics_specs {{ {" ".join(f'metrics {{ class_name: "{name}" }}' for name in metrics)} }}
        options {{ compute_confidence_intervals {{ value: true }}
          confidence_intervals {{ method: POISSON_BOOTSTRAP }} }}
        """,
        config_pb2.EvalConfig(),
    )
    features = {name.removeprefix("slice/"): batch[name].to_numpy() for name in batch.schema.names}
    extracts = [
        {model_analysis.FEATURES_KEY: {n: v[at : at + 1000] for n, v in features.items()}}
        for at in range(0, rows, 1000)
    ]
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    begin = time.perf_counter()
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create(extracts)
            | model_analysis.ExtractAndEvaluate(
                extractors=model_analysis.default_extractors(eval_config=config),
                evaluators=model_analysis.default_evaluators(eval_config=config),
            )
        )
    return {"seconds": time.perf_counter() - begin, "rows": rows}


PEERS = {
    "mtl_recommender": ours,
    "tfma": lambda scores, _: tfma(scores, BARS["tfma_rows"]),
    "tfma_with_auc": lambda scores, _: tfma(scores, BARS["tfma_rows"] // 10, "AUC"),
}


def measure(name: str, scores: Path) -> dict:
    """Runs one of them in a process of its own: its result, with rows a second and peak memory."""
    with tempfile.TemporaryDirectory(dir=scores.parent) as out:
        command = [sys.executable, __file__, "--one", name, str(scores), out]
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
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-rows", type=int, default=4_000_000, help="memory is compared with; 0: not")
    parser.add_argument("--one", nargs=3, metavar=("WHO", "SCORES", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        who, scores, out = arguments.one
        found = PEERS[who](Path(scores), Path(out))
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
        scores = Path(folder, "scores.parquet")
        write_scores(scores, arguments.rows)
        found = {name: measure(name, scores) for name in PEERS}
        mine = found["mtl_recommender"]
        times = {name: mine["rows_per_second"] / of["rows_per_second"] for name, of in found.items()}
        print(f"     times stock TFMA's rows a second, its AUC with the rest: {times['tfma_with_auc']:.0f}")
        bar("times stock TFMA's rows a second", times["tfma"], "over_tfma", True)
        if arguments.memory_rows:
            write_scores(scores, arguments.memory_rows)
            growth = measure("mtl_recommender", scores)["peak_mb"] / mine["peak_mb"]
            bar(f"times the memory at {arguments.memory_rows:,} rows", growth, "memory_growth", False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
