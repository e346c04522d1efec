"""Speed of training: an epoch from files, growth with the table, every architecture's and weighting's step.

    python benchmarks/train_speed.py [--peer-python PYTHON] [--only epoch|table|steps]

The same rows (33 categorical columns, 7 numbers, 2 tasks), model and batch for all. An epoch is timed from
opening the file to its last step, without what compiles or imports: ours reads a run's transformed examples,
and compiles with XLA; torch-rechub has its own DataLoader and trainer, and the hand-written PyTorch loop
slices arrays in memory, both in the interpreter that `--peer-python` names (rechub.lock), and both from a
file of arrays. All use the machine's two cores. The exit code is 1 where a bar of
train_speed.json is missed. Timings are the best of several rounds. A step's time is that of the steps of one
execution, from its end back to the end of the execution before, within an epoch of `fit`; models that are
compared take turns, so that a busy machine slows both.

Growth with the table is judged with ids drawn alike often, the worst case for a cache, and shown with the
k-th of a column drawn as often as 1/k, as in traffic; beside it that of the peers and of the memory alone
(table_floor.c, which `cc` compiles). Where TensorFlow finds a GPU it trains there, and all is measured once
more with mixed precision, without bars and peers.
"""

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import mtl_models as m
from pipeline.shards.columns import ColumnWriter, read_columns

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
CLASSES = {"hard_sharing": "HardSharing", "mmoe": "MMoE", "ple": "PLE"}
SETTINGS = {"ESCM2": {"chain": ("t0", "t1")}, "Fixed": {"weights": (1.0, 2.0, 1.0, 1.0)}}
EXECUTION = 32  # steps


def parts(package: str) -> list[str]:
    """Names of the public classes of `mtl_models.<package>`, bases left out."""
    homes = {n: getattr(m, n).__module__ for n in m.__all__}
    return [n for n, home in homes.items() if home.startswith(f"mtl_models.{package}.") and "._" not in home]


def arrays(rows: int, tasks: int, ids: int, skewed: bool = False) -> tuple[dict, np.ndarray]:
    """Packed inputs and labels `[rows, tasks]`: random, since only their shapes matter here, and how often an
    id comes: all alike, or skewed the k-th of a column as often as 1/k."""
    generator = np.random.default_rng(0)
    if skewed:
        often = np.cumsum(1 / np.arange(1, ids + 1))
        ranks = np.searchsorted(often, often[-1] * generator.random((rows, BARS["categorical"])))
        places = np.stack([generator.permutation(ids) for _ in range(BARS["categorical"])])
        local = places[np.arange(BARS["categorical"]), ranks].astype("int32")
    else:
        local = generator.integers(0, ids, (rows, BARS["categorical"]), dtype="int32")
    numbers = generator.normal(size=(rows, BARS["numbers"])).astype("float32")
    labels = (generator.random((rows, tasks)) < 0.3).astype("float32")
    return {"ids": local, "numbers": numbers}, labels


def model(architecture, tasks: int, ids: int, weighting=None, gram_over="representation", jit=True):
    """A compiled model of the benchmark's shape."""
    layout = m.Layout.of(
        {f"w{i}": ids for i in range(BARS["categorical"])}, [f"n{i}" for i in range(BARS["numbers"])]
    )
    made = m.MultiTaskModel(
        layout,
        [m.Task(f"t{i}", "binary", offset=0.3) for i in range(tasks)],
        architecture,
        tower_units=tuple(BARS["tower_units"]),
        embedding_dim=BARS["embedding_dim"],
        weighting=weighting,
        gram_over=gram_over,
    )
    made.compile(keras.optimizers.Adam(1e-3), m.RowAdam(1e-3), steps_per_execution=EXECUTION, jit_compile=jit)
    return made


def pack(local: dict, ids: int) -> dict:
    """Ids within features to rows of the one table, of 32 bits as a run's transformed examples have them."""
    return local | {"ids": local["ids"] + np.arange(BARS["categorical"], dtype="int32") * ids}


def batches(inputs: dict, labels: np.ndarray) -> tf.data.Dataset:
    return m.array_batches(
        (inputs, {f"t{i}": labels[:, i] for i in range(labels.shape[1])}), BARS["batch_size"]
    )


def epoch(name: str, path: Path, inputs: dict, labels: np.ndarray) -> float:
    """Seconds from opening the file to the end of an epoch."""
    widths = {"ids": BARS["categorical"], "numbers": BARS["numbers"], "labels": labels.shape[1]}
    made = model(getattr(m, CLASSES[name])(**BARS["architectures"][name]), 2, BARS["ids"])
    made.fit(batches(inputs, labels), epochs=1, verbose=0, shuffle=False)  # compiles
    taken = []
    for _ in range(BARS["rounds"]):
        begin = time.perf_counter()
        read = read_columns([path], widths)
        made.fit(batches(read, read.pop("labels")), epochs=1, verbose=0, shuffle=False)
        taken.append(time.perf_counter() - begin)
    return min(taken)


def peer(python: Path, who: str, name: str, path: Path, ids: int = BARS["ids"], epochs: int = 1) -> dict:
    """What train_speed_torch.py prints."""
    settings = {n: BARS[n] for n in ("architectures", "embedding_dim", "tower_units", "batch_size")}
    settings |= {"architecture": name, "who": who, "threads": 2, "ids": ids, "epochs": epochs}
    command = [str(python), str(Path(__file__).with_name("train_speed_torch.py")), str(path)]
    ran = subprocess.run(
        [*command, json.dumps(settings)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


class Clock(keras.callbacks.Callback):
    """Notes when each execution of an epoch ends."""

    def on_epoch_begin(self, epoch, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def step_seconds(models: list, data: tf.data.Dataset) -> list[float]:
    """Seconds a step of each model, of arrays in memory: those of its best execution."""
    clock = Clock()
    for made in models:
        made.fit(data, epochs=1, verbose=0, shuffle=False)
    best = np.full(len(models), np.inf)
    for _ in range(BARS["step_rounds"]):
        for i, made in enumerate(models):
            made.fit(data, epochs=1, verbose=0, shuffle=False, callbacks=[clock])
            best[i] = min(best[i], np.diff(clock.ends).min() / EXECUTION)
    return best.tolist()


def epochs(python: Path | None, bar) -> None:
    local, labels = arrays(BARS["rows"], 2, BARS["ids"])
    table = Table("an epoch from files", *CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        files = {"ours": Path(folder, "examples.arrow"), "arrays": Path(folder, "rows.npz")}
        with ColumnWriter(files["ours"]) as writer:
            writer.write(pack(local, BARS["ids"]) | {"labels": labels})
        np.savez(files["arrays"], **local, labels=labels)
        seconds = {"ours": {n: epoch(n, files["ours"], pack(local, BARS["ids"]), labels) for n in CLASSES}}
        for who in ("loop", "rechub") if python else ():
            of_peer = {
                n: [peer(python, who, n, files["arrays"])["seconds"] for _ in range(BARS["rounds"])]
                for n in CLASSES
            }
            seconds[who] = {n: min(taken) for n, taken in of_peer.items()}
    for who, of in seconds.items():
        table.add_row(who, *[f"{BARS['rows'] / of[n]:,.0f} rows/s" for n in CLASSES])
    Console(width=120).print(table)
    for name in CLASSES if python else ():
        ratio = seconds["loop"][name] / seconds["ours"][name]
        bar(f"{name}: of the hand-written loop's rows a second", ratio, BARS["of_hand_written"], True)
        times = seconds["rechub"][name] / seconds["ours"][name]
        bar(f"{name}: times torch-rechub's rows a second", times, BARS["times_rechub"].get(name), True)


def tables(python: Path | None, bar) -> None:
    def growth(what: str, seconds: list[float]) -> float:
        taken = ", ".join(f"{rows:,} {1000 * s:.2f}" for rows, s in zip(BARS["table_rows"], seconds))
        times = seconds[-1] / seconds[0]
        print(f"{what}, ms a step by rows of embeddings: {taken}: {times:.2f} times", flush=True)
        return times

    sizes = [rows // BARS["categorical"] for rows in BARS["table_rows"]]
    made = [model(m.MMoE(**BARS["architectures"]["mmoe"]), 2, ids) for ids in sizes]
    for often, skewed in (("skewed", True), ("alike", False)):
        drawn = [arrays(BARS["steps"] * BARS["batch_size"], 2, ids, skewed) for ids in sizes]
        packed = [pack(local, ids) for (local, _), ids in zip(drawn, sizes)]
        data = [batches(inputs, labels) for inputs, (_, labels) in zip(packed, drawn)]
        taken = np.min([[step_seconds([a], b)[0] for a, b in zip(made, data)] for _ in range(2)], axis=0)
        by_batch = [inputs["ids"].reshape(BARS["steps"], -1) for inputs in packed]
        named = ", ".join(f"{len(np.unique(ids[0])):,}" for ids in by_batch)
        ratio = growth(f"ids {often} (distinct in a batch: {named}), ours", taken)
        if shutil.which("cc"):
            growth(f"ids {often}, memory alone", floor(by_batch))
    bar("times the step of the small table", ratio, BARS["table_growth"], False)
    for who in ("loop", "sparse", "rechub") if python else ():
        with tempfile.TemporaryDirectory() as folder:
            path, taken = Path(folder, "rows.npz"), []
            for ids in sizes:
                local, labels = arrays(BARS["peer_steps"] * BARS["batch_size"], 2, ids)
                np.savez(path, **local, labels=labels)
                taken.append(peer(python, who, "mmoe", path, ids, epochs=BARS["rounds"])["step"])
        growth(f"ids alike, {who}", taken)


def floor(by_size: list[np.ndarray]) -> list[float]:
    """Seconds of the fastest step of table_floor.c over batches of ids [steps, n], by size of the table."""
    with tempfile.TemporaryDirectory() as folder:
        library, source = str(Path(folder, "floor.so")), str(Path(__file__).with_name("table_floor.c"))
        options = ["-O3", "-march=native", "-shared", "-fPIC", "-o", library, source, "-lm"]
        subprocess.run(["cc", *options], check=True)
        step = ctypes.CDLL(library).step
    n, dim = by_size[0].shape[1], BARS["embedding_dim"]
    # ones, as memory of zeros that was never written is one page
    batch = [np.ones((n, dim), "float32") for _ in range(3)] + [np.ones(n, "int32")]
    between, best = np.zeros(2**20, "float32"), np.full(len(by_size), np.inf)
    tables = [
        (np.ones((rows, dim), "float32"), np.ones((rows, 2, dim), "float32"), np.ones(rows, "int32"))
        for rows in BARS["table_rows"]
    ]
    for _ in range(BARS["rounds"]):
        for i, (by_step, table) in enumerate(zip(by_size, tables)):
            for ids in by_step:
                between += 1  # a step's other work leaves nothing of the table in the nearest caches
                addresses = [ctypes.c_void_p(a.ctypes.data) for a in (*table, ids, *batch)]
                begin = time.perf_counter()
                step(*addresses[:4], n, *addresses[4:])
                best[i] = min(best[i], time.perf_counter() - begin)
    return best.tolist()


def steps(bar) -> None:
    local, labels = arrays(BARS["steps"] * BARS["batch_size"], 4, BARS["ids"])
    data = batches(pack(local, BARS["ids"]), labels)
    mmoe = BARS["architectures"]["mmoe"]
    equal = model(m.MMoE(**mmoe), 4, BARS["ids"])
    shown = Table("four tasks", "ms a step", "times MMoE with Equal")

    def add(name: str, architecture, weighting=None, over="representation") -> float:
        made = model(architecture, 4, BARS["ids"], weighting, over)
        alone, seconds = step_seconds([equal, made], data)
        shown.add_row(name, f"{1000 * seconds:.2f}", f"{seconds / alone:.2f}")
        print(f"{name}: {1000 * seconds:.2f} ms a step, Equal {1000 * alone:.2f}", flush=True)
        return seconds / alone

    sized = {CLASSES[n]: BARS["architectures"][n] for n in CLASSES}
    for name in parts("architectures"):
        settings = sized.get(name, SETTINGS.get(name, {}))
        add(name + ("" if name in sized else " (default widths)"), getattr(m, name)(**settings))
    for over in ("representation", "parameters"):
        for name in parts("weighting"):
            weighting = getattr(m, name)(**SETTINGS.get(name, {}))
            if over == "parameters" and not weighting.needs_gram:
                continue
            what = f"{name} over the {over}" if weighting.needs_gram else name
            ratio = add(f"MMoE, {what}", m.MMoE(**mmoe), weighting, over)
            if name in BARS["gram"]["weightings"]:
                bar(f"{what}: times an equal step", ratio, BARS["gram"][over], False)
    Console(width=100).print(shown)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--peer-python", type=Path, help="an interpreter that has torch-rechub")
    arguments.add_argument("--only", choices=("epoch", "table", "steps"))
    given = arguments.parse_args()
    missed = []

    def bar(what: str, value: float, bound: float | None, at_least: bool) -> None:
        fine = bound is None or (value >= bound if at_least else value <= bound)
        text = "no bar" if bound is None else f"bar: {'≥' if at_least else '≤'} {bound:g}"
        print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.2f} ({text})", flush=True)
        missed.extend([] if fine else [what])

    def measure(python: Path | None, bar) -> None:
        keras.utils.set_random_seed(0)
        if given.only in (None, "epoch"):
            epochs(python, bar)
        if given.only in (None, "table"):
            tables(python, bar)
        if given.only in (None, "steps"):
            steps(bar)

    measure(given.peer_python, bar)
    if tf.config.list_physical_devices("GPU"):
        print("the same with mixed_bfloat16", flush=True)
        keras.config.set_dtype_policy("mixed_bfloat16")
        measure(None, lambda what, value, bound, at_least: bar(what, value, None, at_least))
    else:
        print("on a GPU with mixed precision: not run, there is none")
    if not given.peer_python:
        print("peers were left out, and their bars are not judged: give --peer-python")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
