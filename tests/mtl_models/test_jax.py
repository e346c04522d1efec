"""Layers, losses, weightings and calibrators on Keras' JAX backend: their own tests, in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def test_layers_losses_and_weightings_on_jax(tmp_path):
    pytest.importorskip("jax")
    arguments = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--durations=0"]
    # it descends a loss with TensorFlow's tape
    arguments += ["-k", "not settles_at_one_over_twice"]
    folders = [str(FOLDER / name) for name in ("layers", "losses", "weighting")]
    folders.append(str(FOLDER / "calibration" / "test_calibrators.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *folders],
        # single operations are compiled one by one: what that saves is more than what it costs
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            # a loop that is run eagerly is traced anew at each call, and with this compiled once
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        },
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
