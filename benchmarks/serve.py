"""Speed of `mtl serve` beside the same model called in process, and beside a peer; swaps under load.

    python benchmarks/serve.py OUTPUT/demo [--peer-python PYTHON] [--seconds 3] [--rounds 2] [--only PART]

OUTPUT/demo is a run's folder: its served version answers the rows of `latest/requests.jsonl`. Requests of 32
rows are asked by 1, 8 and 64 clients (serve_load.py, a process of its own on the same two cores, whose
processor time the server lacks and the table shows) over gRPC and REST. In process, the signature that
`tf.saved_model.load` gives is called with the same rows as arrays, by as many threads as answer most; the
server does not put requests together, so that 32 rows are the batch that it runs too. Every answer is compared
with that of the model called in process. `swaps` pushes, pushes and rolls back under load by
`serving.releases`; each version there has other weights. The peer is LitServe, in the interpreter that
`--peer-python` names (litserve.lock). The exit code is 1 where a bar of serve.json is missed.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from tensorflow_serving.apis import predict_pb2

from serving import releases
from serving.inputs import MISSING

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
PARTS = ("speed", "rank", "swaps")
REQUESTS = 8  # different ones
Arrays = dict[str, np.ndarray]


class Model:
    """A version, called in process."""

    def __init__(self, folder: Path):
        self._saved = tf.saved_model.load(str(folder))

    def specs(self, signature: str = "serving_default") -> dict[str, tf.TensorSpec]:
        return self._saved.signatures[signature].structured_input_signature[1]

    def call(self, inputs: Arrays, signature: str = "serving_default") -> Arrays:
        """Arrays in, arrays out, as a program that has this model would."""
        found = self._saved.signatures[signature](**{n: tf.constant(x) for n, x in inputs.items()})
        return {n: value.numpy() for n, value in found.items()}


class Asked:
    """What is asked: the same rows as arrays, as bytes of gRPC and as JSON."""

    def __init__(self, folder: Path, inputs: list[Arrays], signature: str = "serving_default"):
        folder.mkdir()
        self.inputs, self.signature = inputs, signature
        self.grpc = [str(folder / f"{at}.pb") for at in range(len(inputs))]
        self.rest = [str(folder / f"{at}.json") for at in range(len(inputs))]
        for arrays, grpc, rest in zip(inputs, self.grpc, self.rest):
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = "demo", signature
            for name, value in arrays.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            Path(grpc).write_bytes(request.SerializeToString())
            columns = {n: _texts(x.tolist()) if x.dtype == object else x.tolist() for n, x in arrays.items()}
            Path(rest).write_text(json.dumps({"signature_name": signature, "inputs": columns}))


def _texts(value):
    return [_texts(v) for v in value] if isinstance(value, list) else value.decode()


def arrays(rows: list[dict], specs: dict[str, tf.TensorSpec]) -> Arrays:
    """Inputs of a signature from rows of requests.jsonl; of those with one row, the first's."""
    found = {}
    for name, spec in specs.items():
        here = rows[:1] if spec.shape[0] == 1 else rows
        if spec.shape.rank == 1:
            found[name] = np.array([_value(r.get(name), spec.dtype) for r in here], spec.dtype.as_numpy_dtype)
            continue
        lists = [[_value(v, spec.dtype) for v in r.get(name) or ()] for r in here]
        width = max(1, *map(len, lists))
        filled = [x + [MISSING[spec.dtype]] * (width - len(x)) for x in lists]
        found[name] = np.array(filled, spec.dtype.as_numpy_dtype)
    return found


def _value(value, dtype: tf.DType):
    return MISSING[dtype] if value is None else value.encode() if dtype == tf.string else value


class Load:
    """What came of a load: answers as arrays with the version that each says, where it does."""

    def __init__(self, address: str, asked: Asked, clients: int, seconds: float, path: str = ""):
        self._asked, self._path = asked, path
        plan = {"address": address, "clients": clients, "seconds": seconds}
        plan["requests"] = asked.rest if path else asked.grpc
        plan |= {"path": path} if path else {}
        with tempfile.TemporaryDirectory() as folder:
            plan["answers"] = str(Path(folder, "answers"))
            command = [sys.executable, str(Path(__file__).with_name("serve_load.py"))]
            ran = subprocess.run(command, input=json.dumps(plan).encode(), stdout=subprocess.PIPE, check=True)
            self._bytes = Path(plan["answers"]).read_bytes()
        found = json.loads(ran.stdout)
        self.ms = 1e3 * np.array(found["seconds"])
        self.failed: list[str] = found["failed"]
        self._numbers, self._sizes = found["asked"], found["sizes"]
        self.clients_ms = 1e3 * found["processor_seconds"] / len(self.ms)
        rows = len(next(iter(asked.inputs[0].values())))
        self.rows_per_second = rows * (len(self.ms) - len(self.failed)) / (self.ms.sum() / 1e3 / clients)

    def answers(self) -> Iterator[tuple[int, int | None, Arrays]]:
        """Number of the request, version, outputs; of each request that was answered."""
        at = 0
        for number, size in zip(self._numbers, self._sizes):
            content, at = self._bytes[at : at + size], at + size
            if size and self._path:
                columns = json.loads(content)["outputs"]
                yield number, None, {n: np.array(v, np.float32) for n, v in columns.items()}
            elif size:
                answer = predict_pb2.PredictResponse.FromString(content)
                outputs = {n: tf.make_ndarray(v) for n, v in answer.outputs.items()}
                yield number, answer.model_spec.version.value, outputs


def same(found: Arrays, wanted: Arrays, tolerance: float) -> bool:
    return set(found) == set(wanted) and all(
        np.allclose(found[n], wanted[n], rtol=tolerance, atol=tolerance, equal_nan=True) for n in wanted
    )


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """Addresses of gRPC and REST of `mtl serve` with its defaults, in a process of its own."""
    command = [sys.executable, "-m", "pipeline", "serve", str(folder), "--name", "demo"]
    process = subprocess.Popen(
        [*command, "--rest-port", "0", "--grpc-port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        said = [process.stdout.readline() for _ in range(3)]
        yield said[2].split()[-1], said[1].split("//")[1].split("/")[0]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def peer(python: Path, version: Path, body: bytes) -> Iterator[str]:
    """Address of the peer, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), str(Path(__file__).with_name("serve_litserve.py")), str(version), str(port)]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **nowhere, start_new_session=True)
    try:
        end = time.monotonic() + 180
        headers = {"Content-Type": "application/json"}
        while True:
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
                urllib.request.urlopen(request, timeout=30).close()
                break
            except (urllib.error.URLError, OSError) as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"the peer does not answer: {error}") from None
                time.sleep(1)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers outlive a terminated parent
        process.wait()


def in_process(model: Model, asked: Asked, threads: int, seconds: float) -> tuple[float, np.ndarray]:
    """Rows a second, and milliseconds of the calls."""
    for inputs in asked.inputs:
        model.call(inputs, asked.signature)
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def work(at: int) -> None:
        while time.perf_counter() < end:
            at = (at + 1) % len(asked.inputs)
            begin = time.perf_counter()
            model.call(asked.inputs[at], asked.signature)
            taken.append(time.perf_counter() - begin)

    workers = [threading.Thread(target=work, args=(at,)) for at in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rows = max(len(x) for x in asked.inputs[0].values())
    return rows * len(taken) / (sum(taken) / threads), 1e3 * np.array(taken)


Bar = Callable[[str, float, str, bool], None]


def speed(model: Model, version: Path, asked: Asked, arguments: argparse.Namespace, bar: Bar) -> None:
    """Throughput and latency, in process and served; all take turns, so that a busy moment hits all."""
    best: dict[tuple[str, int], tuple[float, np.ndarray, float]] = {}
    failed, wrong = 0, 0
    wanted = [model.call(inputs) for inputs in asked.inputs]

    def keep(who: str, clients: int, rate: float, ms: np.ndarray, clients_ms: float = 0.0) -> None:
        before = best.get((who, clients))
        if before is None or rate > before[0]:
            best[who, clients] = rate, ms, clients_ms

    def ask(who: str, address: str, path: str) -> None:
        nonlocal failed, wrong
        for clients in BARS["clients"]:
            load = Load(address, asked, clients, arguments.seconds, path)
            keep(who, clients, load.rows_per_second, load.ms, load.clients_ms)
            failed += len(load.failed)
            print(*load.failed[:3], sep="\n", end="")
            answers = load.answers()
            wrong += sum(not same(found, wanted[n], BARS["tolerance"]) for n, _, found in answers)

    for _ in range(arguments.rounds):
        for threads in (1, 2, 8):
            keep("in process", threads, *in_process(model, asked, threads, arguments.seconds))
        with served(version.parent) as (grpc, rest):
            ask("gRPC", grpc, "")
            ask("REST", rest, "/v1/models/demo:predict")
        if arguments.peer_python:
            body = Path(asked.rest[0]).read_bytes()
            with peer(arguments.peer_python, version, body) as address:
                ask("LitServe", address, "/predict")
    title = f"{BARS['rows']} rows a request, {os.cpu_count()} cores"
    shown = Table("", "clients", "rows/s", "p50 ms", "p95 ms", "p99 ms", "clients' own CPU ms", title=title)
    for (who, clients), (rate, ms, own) in best.items():
        percentiles = [f"{p:.2f}" for p in np.percentile(ms, [50, 95, 99])]
        shown.add_row(who, str(clients), f"{rate:,.0f}", *percentiles, f"{own:.2f}")
    Console(width=120).print(shown)
    most = max(rate for (who, _), (rate, *_) in best.items() if who == "in process")
    for who in ("gRPC", "REST"):
        added = np.median(best[who, 1][1]) - np.median(best["in process", 1][1])
        bar(f"{who}: ms added to the median of one client", added, "added_ms", False)
        for clients in BARS["clients"][1:]:
            of = best[who, clients][0] / most
            bar(f"{who}, {clients} clients: of in process", of, "of_in_process", True)
            if arguments.peer_python:
                times = best[who, clients][0] / best["LitServe", clients][0]
                bar(f"{who}, {clients} clients: times LitServe", times, "", True)
    bar("requests that failed", failed, "failed", False)
    bar("answers that are not the model's", wrong, "failed", False)


def rank(model: Model, version: Path, rows: list[dict], place: Path, seconds: float, bar: Bar) -> None:
    """One user with many items, by `rank` and by as many rows of `serving_default`."""
    many = [rows[i % len(rows)] for i in range(BARS["rank_items"])]
    specs = model.specs("rank")
    items = [n for n, spec in specs.items() if spec.shape[0] != 1]
    repeated = [rows[0] | {n: row.get(n) for n in items} for row in many]
    ways = {
        "rank": Asked(place / "rank", [arrays(repeated, specs)], "rank"),
        "serving_default": Asked(place / "rows", [arrays(repeated, model.specs())]),
    }
    answers = {n: model.call(asked.inputs[0], n) for n, asked in ways.items()}
    fine = same(answers["rank"], answers["serving_default"], BARS["rank_tolerance"])
    bar("rank answers otherwise than serving_default", float(not fine), "failed", False)
    taken: dict[str, dict[str, list[float]]] = {n: {} for n in ways}
    with served(version.parent) as (grpc, rest):
        for _ in range(3):
            for name, asked in ways.items():
                of = taken[name]
                here = in_process(model, asked, 1, seconds / 3)[1]
                of.setdefault("in process", []).append(np.median(here))
                of.setdefault("gRPC", []).append(np.median(Load(grpc, asked, 1, seconds / 3).ms))
                load = Load(rest, asked, 1, seconds / 3, "/v1/models/demo:predict")
                of.setdefault("REST", []).append(np.median(load.ms))
    title = f"{BARS['rank_items']} items of one user, one client: median ms"
    shown = Table("", *taken["rank"], title=title)
    for name, of in taken.items():
        shown.add_row(name, *[f"{min(ms):.2f}" for ms in of.values()])
    Console(width=120).print(shown)
    for way in taken["rank"]:
        times = min(taken["serving_default"][way]) / min(taken["rank"][way])
        bar(f"{way}: times the speed of serving_default", times, "", True)


def swaps(version: Path, rows: list[dict], place: Path, bar: Bar) -> None:
    """Pushes and roll-backs under load: no request fails, and each answer is one version's."""
    models = [place / name for name in "abcd"]
    for number, folder in enumerate(models):
        with_other_weights(version, folder, 0.05 * number)
    folder = place / "serving"
    releases.push(models[0], folder, {"run": "a"}, "")
    called = [Model(path) for path in models]
    asked = Asked(place / "asked", batches(rows, called[0].specs()))
    wanted = [[model.call(inputs) for inputs in asked.inputs] for model in called]
    # which model each version is; the roll-backs, 4 and 6, are copies of 2
    versions = {1: 0, 2: 1, 3: 2, 4: 1, 5: 3, 6: 1}
    every, loads = BARS["swap_seconds"], {}
    changes = [
        lambda: releases.push(models[1], folder, {"run": "b"}, "1"),
        lambda: releases.push(models[2], folder, {"run": "c"}, "2"),
        lambda: releases.rollback(folder, "for the benchmark"),
        lambda: releases.push(models[3], folder, {"run": "d"}, "4"),
        lambda: releases.rollback(folder, "for the benchmark"),
    ]
    with served(folder) as (grpc, rest):
        ways = {"gRPC": (grpc, ""), "REST": (rest, "/v1/models/demo:predict")}

        def load(name: str) -> None:
            address, path = ways[name]
            loads[name] = Load(address, asked, 8, (len(changes) + 1) * every, path)

        threads = [threading.Thread(target=load, args=(name,)) for name in ways]
        for thread in threads:
            thread.start()
        for change in changes:
            time.sleep(every)
            change()
        for thread in threads:
            thread.join()
    for name, done in loads.items():
        seen, mixed = dict.fromkeys(versions, 0), 0
        for number, told, found in done.answers():
            fits = [v for v, m in versions.items() if same(found, wanted[m][number], BARS["tolerance"])]
            of = [told] if told in fits else fits[-1:] if told is None else []
            mixed += not of
            for one in of:
                seen[one] += 1
        p50, p95, p99 = np.percentile(done.ms, [50, 95, 99])
        print(f"{name}, swaps: {seen} answers by version; p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms")
        bar(f"{name}, swaps: requests that failed", len(done.failed), "failed", False)
        bar(f"{name}, swaps: answers of no single version", mixed, "failed", False)
        bar(f"{name}, swaps: versions that answered", np.count_nonzero([*seen.values()]), "swapped", True)


def with_other_weights(version: Path, target: Path, more: float) -> None:
    """A copy of a SavedModel with `more` added to every weight."""
    shutil.copytree(version, target)
    (target / "assets.extra/push.json").unlink(missing_ok=True)  # of the push that made it
    shutil.rmtree(target / "variables")
    (target / "variables").mkdir()
    reader = tf.train.load_checkpoint(str(version / "variables/variables"))
    names = sorted(reader.get_variable_to_shape_map())
    values = [reader.get_tensor(name) for name in names]
    values = [v + np.float32(more) if getattr(v, "dtype", None) == np.float32 else v for v in values]
    tf.raw_ops.SaveV2(
        prefix=str(target / "variables/variables"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(v) for v in values],
    )


def batches(rows: list[dict], specs: dict[str, tf.TensorSpec]) -> list[Arrays]:
    """Different draws of rows, each as large as a request."""
    draw = np.random.default_rng(0)
    return [arrays([rows[i] for i in draw.choice(len(rows), BARS["rows"])], specs) for _ in range(REQUESTS)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="OUTPUT/<recipe> of a run that pushed")
    parser.add_argument("--peer-python", type=Path, help="an interpreter with litserve.lock installed")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=2, help="of which the best counts")
    parser.add_argument("--only", choices=PARTS)
    arguments = parser.parse_args()
    version = arguments.run / "serving" / (arguments.run / "serving/CURRENT").read_text().strip()
    rows = [json.loads(line) for line in (arguments.run / "latest/requests.jsonl").open()]
    failed = []

    def bar(what: str, value: float, name: str, at_least: bool) -> None:
        if not name:
            print(f"     {what}: {value:.2f} (no bar)", flush=True)
            return
        fine = value >= BARS[name] if at_least else value <= BARS[name]
        sign = "≥" if at_least else "≤"
        print(f"{'ok  ' if fine else 'MISS'} {what}: {value:.2f} (bar: {sign} {BARS[name]:g})", flush=True)
        failed.extend([] if fine else [what])

    with tempfile.TemporaryDirectory() as folder:
        place, parts = Path(folder), [arguments.only] if arguments.only else PARTS
        model = Model(version)
        if "speed" in parts:
            asked = Asked(place / "asked-speed", batches(rows, model.specs()))
            speed(model, version, asked, arguments, bar)
        if "rank" in parts:
            rank(model, version, rows, place, arguments.seconds, bar)
        if "swaps" in parts:
            swaps(version, rows, place, bar)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
