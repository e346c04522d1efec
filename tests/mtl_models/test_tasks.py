import json
import subprocess
import sys

import numpy as np
import pytest

from mtl_models import Task
from mtl_models.kinds import KINDS, side_inputs


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
        ({"kind": "binary", "loss": "focal", "negatives_kept": 0.5}, "it is for binary_crossentropy"),
        ({"kind": "multiclass"}, "needs `classes`"),
        ({"kind": "ordinal", "classes": 1}, "whole number from 2"),
        ({"kind": "ordinal", "classes": 3, "shares": (0.5, 0.5)}, "3 numbers from 0"),
        ({"kind": "multiclass", "classes": 2, "shares": (0.5, 0.2)}, "add up to 1"),
        ({"kind": "binary", "loss": "focal", "gamma": -1.0}, "from 0 to 100"),
        ({"kind": "binary", "gamma": 2.0}, "takes no gamma"),
        ({"kind": "binary", "loss": "listwise", "list_share": 1.5}, "from 0 to 1"),
        ({"kind": "regression", "loss": "log_mse", "smearing": 0.0}, "above 0"),
        ({"kind": "regression", "loss": "duration_quantile"}, "needs duration_edges"),
        (
            {
                "kind": "regression",
                "loss": "duration_quantile",
                "duration_edges": (1, 2),
                "watch_quantiles": ((1, 2), (1, 2)),
            },
            "part 3 groups",
        ),
        (
            {
                "kind": "regression",
                "loss": "duration_quantile",
                "duration_edges": (),
                "watch_quantiles": ((1, 2), (2, 1)),
            },
            "must ascend",
        ),
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


def test_multiclass_starts_from_the_shares_and_predicts_probabilities():
    task = Task("action", "multiclass", classes=3, shares=(0.2, 0.3, 0.5))
    assert KINDS["multiclass"].units(task) == 3
    start = np.float32([KINDS["multiclass"].initial_bias(task)])
    np.testing.assert_allclose(KINDS["multiclass"].prediction(task, start), [[0.2, 0.3, 0.5]], rtol=1e-5)


def test_ordinal_starts_from_the_shares_and_predicts_probabilities_from_any_outputs():
    task = Task("rating", "ordinal", classes=4, shares=(0.1, 0.0, 0.6, 0.3))
    kind = KINDS["ordinal"]
    assert kind.units(task) == 3 and not kind.scalar(Task("r", "ordinal", classes=2))
    start = np.float32([kind.initial_bias(task)])
    np.testing.assert_allclose(kind.prediction(task, start), [[0.1, 0, 0.6, 0.3]], atol=1e-5)
    outputs = -np.sort(-np.random.default_rng(0).normal(0, 20, (200, 3)).astype("float32"), axis=1)
    p = np.asarray(kind.prediction(task, outputs))
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    above = 1 / (1 + np.exp(-outputs.astype(float)))
    np.testing.assert_allclose(p[:, ::-1].cumsum(axis=1)[:, 2::-1], above, atol=1e-5)


def test_tasks_say_what_they_need_beside_the_inputs():
    tables = {"duration_edges": (), "watch_quantiles": ((0, 1), (0, 1))}
    tasks = [
        Task("click", "binary", "listwise"),
        Task("watch", "regression", "duration_quantile", **tables),
        Task("like", "binary"),
    ]
    assert side_inputs(tasks) == ("duration", "request") and side_inputs(tasks[2:]) == ()
    restored = Task.from_config(json.loads(json.dumps(tasks[1].get_config())))
    assert restored == tasks[1] and hash(restored) == hash(tasks[1])
