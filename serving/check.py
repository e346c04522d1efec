"""The check before push: the model, served in a process of its own, answers real rows over gRPC and REST."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.client import BadFeatures, Client, ServerError
from serving.standalone import NAME

TIMEOUT_SECONDS = 300
CALLS = 20  # timed ones, whose median is told
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Check:
    """What came of it.

    Attributes:
      error: what was wrong, the end of a sentence; empty where every answer was right.
      rows: in each request.
      largest_difference: from offline predictions, relative to max(1, |prediction|).
      load_seconds: until the server answers, without the import of TensorFlow.
      latency_ms: of a gRPC request of all rows, the median of 20 after those whose answers were compared.
      memory_mb: the most that the process held, TensorFlow's own included; 2**20 bytes each.
      size_mb: of the model's files.
    """

    error: str
    rows: int
    largest_difference: float = float("nan")
    load_seconds: float = float("nan")
    latency_ms: float = float("nan")
    memory_mb: float = float("nan")
    size_mb: float = float("nan")


def check(
    model: str | Path,
    rows: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    tolerance: float,
    below: str | Path | None = None,
) -> Check:
    """Serves a SavedModel where this project cannot be imported, and asks `serving_default`.

    Args:
      model: the folder as TensorFlow Serving would load it.
      rows: raw inputs by name, `[rows]` or `[rows, length]`; texts as bytes.
      expected: offline predictions by output, `[rows]` or `[rows, classes]`.
      tolerance: largest allowed difference, relative to max(1, |expected|).
      below: where the folder that it is served from is made, which a kill leaves behind; None for the
        system's own place for such.
    """
    count = len(next(iter(expected.values())))
    size = sum(p.stat().st_size for p in Path(model).rglob("*") if p.is_file()) / 2**20
    largest, took = 0.0, []
    try:
        with _served(model, below) as server:
            for way, address in (("gRPC", f"127.0.0.1:{server.grpc}"), ("REST", server.url)):
                with Client(address, NAME) as client:
                    answered = client.predict(rows, timeout=TIMEOUT_SECONDS).outputs
                    error, difference = _compare(answered, expected, tolerance)
                    if error:
                        return Check(f"over {way} {error}", count, difference, server.load_seconds)
                    largest = max(largest, difference)
            with Client(f"127.0.0.1:{server.grpc}", NAME) as client:
                client.predict(rows, timeout=TIMEOUT_SECONDS)
                for _ in range(CALLS):
                    begin = time.perf_counter()
                    client.predict(rows, timeout=TIMEOUT_SECONDS)
                    took.append(time.perf_counter() - begin)
    except _Failed as error:
        return Check(str(error), count)
    except (BadFeatures, ServerError) as error:
        return Check(f"the served model refused real rows: {error}", count)
    return Check(
        "",
        count,
        largest,
        server.load_seconds,
        1e3 * float(np.median(took)),
        server.peak_bytes / 2**20,
        size,
    )


class _Failed(Exception):
    """The server did not start, or died; says why."""


class _Candidate:
    """The server's process, once it answers; `peak_bytes` is known when it has ended."""

    def __init__(self, process: subprocess.Popen[str], errors: Path):
        self._process, self._errors = process, errors
        said = self._line()
        self.rest, self.grpc = said["rest"], said["grpc"]
        self.load_seconds: float = said["load_seconds"]
        self.peak_bytes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest}"

    def end(self) -> None:
        self._process.stdin.close()
        self.peak_bytes = int(self._line()["peak_bytes"])

    def _line(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        if not line:
            raise _Failed(_why(self._errors.read_text(errors="replace"), self._process.wait()))
        return json.loads(line)


def _why(errors: str, code: int) -> str:
    if code == -9:
        return f"the model could not be served: it took more than {TIMEOUT_SECONDS} s, or was killed"
    return f"the model could not be served: {(errors.strip().splitlines() or [f'exit code {code}'])[-1]}"


@contextmanager
def _served(model: str | Path, below: str | Path | None) -> Iterator[_Candidate]:
    with tempfile.TemporaryDirectory(prefix=".served-", dir=below) as folder:
        Path(folder, "1").symlink_to(Path(model).resolve())
        errors = Path(folder, "errors.txt")
        with errors.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "serving.standalone", folder],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        late = threading.Timer(TIMEOUT_SECONDS, process.kill)
        late.start()
        with process:
            try:
                candidate = _Candidate(process, errors)
                yield candidate
                candidate.end()
            finally:
                late.cancel()
                process.kill()


def _compare(
    outputs: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float
) -> tuple[str, float]:
    if set(outputs) != set(expected):
        return f"the outputs are {sorted(outputs)}; they should be {sorted(expected)}", float("nan")
    largest, error = 0.0, ""
    for name, want in expected.items():
        got = outputs[name]
        if got.shape != want.shape:
            return f"{name} has shape {got.shape} where {want.shape} was expected", float("nan")
        difference = np.abs(got - want) / np.maximum(1.0, np.abs(want))
        ranked = np.where(np.isnan(difference), np.inf, difference)
        worst = np.unravel_index(int(np.argmax(ranked)), difference.shape)
        if not difference[worst] <= tolerance:  # also where it is NaN
            of = f"row {worst[0]}" + (f", class {worst[1]}," if len(worst) > 1 else "")
            error = error or (
                f"{name} answered {got[worst]:.8g} for {of} where offline prediction gave "
                f"{want[worst]:.8g}; the tolerance is {tolerance:g}"
            )
        largest = max(largest, float(difference[worst]))
    return error, largest
