"""Layers, losses, weightings and calibrators on Keras' JAX backend: their own tests, in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
# of each part what compares its numbers with others': by a formula, of another library, of other rows
EVERY_PART = [
    "layers/test_every_layer.py",
    "losses/test_losses.py::test_every_loss_is_here",
    "losses/test_losses.py::test_equals_the_formula",
    "losses/test_losses.py::test_listwise_equals_the_formula_whatever_the_order_of_rows",
    "losses/test_losses.py::test_of_any_size_compiled_and_finite_with_its_gradient_anywhere",
    "weighting/test_weightings.py::test_every_weighting_is_here",
    "weighting/test_weightings.py::test_a_loss_that_is_not_finite_counts_as_absent",
    "weighting/test_torchjd.py",
    "calibration/test_calibrators.py::test_every_calibrator_is_here",
    "calibration/test_calibrators.py::test_is_of_its_configuration_alone_and_in_float32",
]
ALL = ["layers", "losses", "weighting", "calibration/test_calibrators.py"]


@pytest.mark.parametrize(
    ("tests", "but"),
    [
        # each size of a Gram matrix is compiled anew
        pytest.param(EVERY_PART, "[8] or -8] or sixteen", id="every_part"),
        # that one descends a loss with TensorFlow's tape
        pytest.param(ALL, "settles_at_one_over_twice", id="all", marks=pytest.mark.slow),
    ],
)
def test_layers_losses_and_weightings_on_jax(tests, but, tmp_path):
    pytest.importorskip("jax")
    arguments = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--durations=0", "-k", f"not ({but})"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *(str(FOLDER / test) for test in tests)],
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
