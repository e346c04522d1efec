import numpy as np
import pytest

from mtl_models import Objective, Task

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
