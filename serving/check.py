"""The check before push: the model's files, alone in a process of their own, answer real rows."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Check:
    """What came of it: `error` is empty where every answer was right."""

    error: str
    rows: int
    largest_difference: float
    load_seconds: float
    call_seconds: float


def check(
    model: str | Path, rows: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float
) -> Check:
    """Calls `serving_default` of a SavedModel in a process that cannot import this project.

    Args:
      model: the folder as TensorFlow Serving would load it.
      rows: raw inputs by name, `[rows]` or `[rows, length]`; texts as bytes.
      expected: offline predictions by output, `[rows]` or `[rows, classes]`.
      tolerance: largest allowed difference, relative to max(1, |expected|).
    """
    count = len(next(iter(expected.values())))
    with tempfile.TemporaryDirectory() as folder:
        requests, answers = Path(folder, "requests.npz"), Path(folder, "answers.npz")
        np.savez(requests, **{n: _storable(x) for n, x in rows.items()})
        script = Path(__file__).with_name("standalone.py")
        try:
            ran = subprocess.run(
                [sys.executable, str(script), str(model), str(requests), str(answers)],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Check(
                f"the model did not answer within {TIMEOUT_SECONDS} s", count, float("nan"), 0.0, 0.0
            )
        if ran.returncode != 0:
            last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            return Check(f"the model could not be loaded or called: {last}", count, float("nan"), 0.0, 0.0)
        with np.load(answers) as file:
            answered = {n: file[n] for n in file.files}
    outputs = {n.removeprefix("output/"): x for n, x in answered.items() if n.startswith("output/")}
    error, largest = _compare(outputs, expected, tolerance)
    return Check(error, count, largest, float(answered["load_seconds"]), float(answered["call_seconds"]))


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


def _storable(x: np.ndarray) -> Any:
    return x.astype(bytes) if x.dtype == object else x
