import subprocess
import sys

import numpy as np
import pytest

from mtl_models import Task
from mtl_models.kinds import KINDS


def test_config_round_trip_and_default_loss():
    task = Task("watch", "regression", offset=2.0, scale=4.0)
    assert task.loss == "mse" and Task("click", "binary").loss == "binary_crossentropy"
    assert Task.from_config(task.get_config()) == task


def test_regression_maps_labels_in_and_predictions_back():
    task = Task("watch", "regression", offset=2.0, scale=4.0)
    label = np.array([2.0, 10.0], "float32")
    target = KINDS["regression"].target(task, label)
    np.testing.assert_allclose(target, [0, 2])
    np.testing.assert_allclose(KINDS["regression"].prediction(task, target), label)


def test_binary_starts_from_its_base_rate():
    task = Task("click", "binary", offset=0.02)
    bias = KINDS["binary"].initial_bias(task)
    assert float(KINDS["binary"].prediction(task, np.float32(bias))) == pytest.approx(0.02)


def test_predictions_of_a_task_with_sampled_negatives_are_those_of_all_data():
    task = Task("click", "binary", negatives_kept=0.1)
    sampled = np.linspace(0.001, 0.999, 99)
    logits = np.log(sampled / (1 - sampled)).astype("float32")
    # He et al. 2014, section 6.3
    np.testing.assert_allclose(
        KINDS["binary"].prediction(task, logits), sampled / (sampled + (1 - sampled) / 0.1), rtol=1e-5
    )
    # where the sampled probability is 0 or 1 in float32, its logit still tells rows apart
    low, high = KINDS["binary"].prediction(task, np.array([-60.0, 60.0], "float32"))
    assert float(low) == pytest.approx(0.1 * np.exp(-60), rel=1e-5) and float(high) == 1.0
    # the loss is of the data as sampled
    assert KINDS["binary"].initial_bias(Task("click", "binary", offset=0.3, negatives_kept=0.1)) == (
        KINDS["binary"].initial_bias(Task("click", "binary", offset=0.3))
    )
    assert Task.from_config(task.get_config()) == task


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"kind": "bool"}, "kind 'bool'"),
        ({"kind": "binary", "loss": "mse"}, "does not fit"),
        ({"kind": "binary", "offset": 1.0}, "base rate"),
        ({"kind": "binary", "scale": 2.0}, "no scale"),
        ({"kind": "regression", "scale": 0.0}, "above 0"),
        ({"kind": "binary", "loss_weight": -1.0}, "loss_weight"),
        ({"kind": "binary", "negatives_kept": 0.0}, "above 0, at most 1"),
        ({"kind": "regression", "negatives_kept": 0.5}, "no negatives"),
    ],
)
def test_refuses(settings, words):
    with pytest.raises(ValueError, match=words):
        Task("t", **settings)


def test_the_package_imports_nothing_heavy_and_never_the_pipeline():
    code = (
        "import sys, mtl_models, mtl_models.tasks, mtl_models.inputs.layout;"
        "heavy = {'keras', 'tensorflow', 'numpy'} & set(sys.modules); assert not heavy, heavy;"
        "[getattr(mtl_models, name) for name in mtl_models.__all__];"
        "far = {m for m in sys.modules if m.split('.')[0] in"
        " ('tfx', 'apache_beam', 'tensorflow_transform', 'tensorflow_model_analysis', 'pipeline',"
        " 'serving')}; assert not far, far"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
