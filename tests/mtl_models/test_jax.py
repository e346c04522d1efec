"""Layers, losses, weightings and what inputs compute, on Keras' JAX backend, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
# without TensorFlow's own variables and functions in the test itself
FILES = [
    *("layers", "losses", "weighting"),
]


def test_layers_losses_and_weightings_on_jax():
    pytest.importorskip("jax")
    targets = [str(FOLDER / name) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *targets],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
