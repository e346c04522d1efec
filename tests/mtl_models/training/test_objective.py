import numpy as np
import pytest

from mtl_models import Objective, Task
from mtl_models.training import metrics
from mtl_models.training.objective import measure

CLICK, WATCH = Task("click", "binary"), Task("watch", "regression")


def test_gain_is_zero_for_the_best_constant_and_one_for_a_perfect_prediction():
    labels, weights = np.array([0, 1, 1, 4.0]), np.ones(4)
    for metric, constant_error in (("mae", 1.0), ("rmse", np.sqrt(9 / 4))):
        objective = Objective({"watch": 1}, {"watch": metric})
        assert objective.gain(WATCH, {metric: constant_error}, labels, weights) == pytest.approx(0)
        assert objective.gain(WATCH, {metric: 0.0}, labels, weights) == 1
    binary = np.array([0, 1, 1, 1])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    objective = Objective({"click": 1}, {"click": "logloss"})
    assert objective.gain(CLICK, {"logloss": entropy}, binary, None) == pytest.approx(0)
    assert Objective({"click": 1}).gain(CLICK, {"auc": 0.75}, binary, None) == 0.5


def test_gains_of_classes():
    action, rating = Task("action", "multiclass", classes=3), Task("rating", "ordinal", classes=3)
    labels, weights = np.array([0, 1, 1, 2, 1, 0.0]), np.array([1, 1, 2, 0, 1, 1.0])
    shares = np.tile([2 / 6, 4 / 6, 0], (6, 1))
    for task, metric in (
        (action, "logloss"),
        (action, "accuracy"),
        (action, "macro_f1"),
        (rating, "accuracy"),
    ):
        objective = Objective({task.name: 1}, {task.name: metric})
        assert objective.gain(task, measure(task, labels, shares, weights), labels, weights) == (
            pytest.approx(0)
        )
        perfect = measure(task, labels, np.eye(3)[labels.astype(int)], weights)
        assert objective.gain(task, perfect, labels, weights) == pytest.approx(1, abs=1e-6)
    objective = Objective({"rating": 1}, {"rating": "mae"})
    median = np.tile([0, 1.0, 0], (6, 1))
    assert objective.gain(rating, measure(rating, labels, median, weights), labels, weights) == 0
    assert Objective({"rating": 1}).gain(rating, {"quadratic_kappa": 0.4}, labels, weights) == 0.4


def test_what_is_read_by_default():
    objective = Objective({"t": 1})
    assert [
        objective.metric(Task("t", kind, loss, classes=classes))
        for kind, loss, classes in (
            ("binary", "focal", None),
            ("regression", "log_mse", None),
            ("regression", "ziln", None),
            ("multiclass", None, 3),
            ("ordinal", None, 3),
        )
    ] == ["auc", "mae", "rmse", "logloss", "quadratic_kappa"]
    click, labels, scores = Task("click", "binary"), np.array([0, 1, 1]), np.array([0.2, 0.4, 0.1])
    assert measure(click, labels, scores) == {
        "auc": metrics.auc(labels, scores),
        "logloss": metrics.logloss(labels, scores),
    }
    assert measure(click, labels, scores, groups=[1, 1, 2])["gauc"] == 1


@pytest.mark.parametrize(
    "task, metric",
    [
        (CLICK, "logloss"),
        (WATCH, "mae"),
        (WATCH, "rmse"),
        (Task("action", "multiclass", classes=3), "logloss"),
        (Task("rating", "ordinal", classes=3), "mae"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_label_that_is_not_known_may_be_anything(task, metric):
    labels, weights, gains = np.array([0, 0, 1, 1.0]), np.array([1, 0, 2, 1.0]), []
    predictions = np.array([0.3, 0.5, 0.6, 0.8])
    if task.classes:
        predictions = np.stack([0.9 - predictions, predictions, np.full(4, 0.1)], axis=1)
    objective = Objective({task.name: 1}, {task.name: metric})
    for unknown in (0.0, np.nan):
        labels[1] = unknown
        gains.append(objective.gain(task, measure(task, labels, predictions, weights), labels, weights))
    assert gains[0] == gains[1]


def test_combines_by_weight_and_leaves_out_the_undefined():
    objective = Objective({"click": 3, "watch": 1})
    assert objective.combine({"click": 0.4, "watch": 0.8}) == pytest.approx(0.5)
    assert objective.combine({"click": None, "watch": 0.8}) == pytest.approx(0.8)
    assert objective.gain(CLICK, {"auc": None}, [1], None) is None
    with pytest.raises(ValueError, match="no task that counts"):
        objective.combine({"click": None, "watch": None})


@pytest.mark.parametrize(
    "objective, words",
    [
        (Objective({"buy": 1}), "'buy' is not a task"),
        (Objective({"click": 0}), "one of them above"),
        (Objective({"click": 1}, {"click": "mae"}), "'mae' is not a metric of the binary"),
    ],
)
def test_refuses(objective, words):
    with pytest.raises(ValueError, match=words):
        objective.check([CLICK, WATCH])
