"""Which rows and weights a recipe's calibration is fitted by, and what is told of it."""

import json

import numpy as np
import pytest
from scipy.special import expit

from pipeline.calibration_lines import calibration_lines
from pipeline.recipe import loads

ROWS = 4000
RECIPE = """
version: 1
name: feed
sources:
  log:
    files: log.csv
    columns:
      x: float
      clicked: {type: int, known: after}
      worth: {type: float, known: after}
roles: {}
features:
  x: {kind: numeric}
tasks:
  click: {kind: binary, label: clicked, weight: worth, calibration: platt}
  rare: {kind: binary, label: clicked, calibration: isotonic}
  plain: {kind: binary, label: clicked}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


@pytest.fixture(scope="module")
def validation():
    """Clicks weigh three times as much as the rest, of which a third has no label; none of `rare` has one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS).astype("float32")
    click = (rng.random(ROWS) < expit(2 * x - 1)).astype("float32")
    mask = (rng.random(ROWS) < 2 / 3).astype("float32")
    labels = {"click": click * mask, "rare": 0 * click, "plain": click}
    weights = {"click": mask * (1 + 2 * click), "rare": 0 * mask, "plain": 1 + 0 * mask}
    masks = {"click": mask, "rare": 0 * mask, "plain": 1 + 0 * mask}
    return {"numbers": x[:, None]}, labels, weights, masks


@pytest.fixture
def model():
    from mtl_models import HardSharing, Layout, MultiTaskModel, Task

    tasks = [Task(name, "binary") for name in ("click", "rare", "plain")]
    return MultiTaskModel(Layout.of(numbers=["x"]), tasks, HardSharing((4,)), tower_units=(), seed=3)


@pytest.mark.parametrize("weighted", [False, True])
def test_fitted_on_known_rows_by_the_weights_that_evaluation_uses(model, validation, weighted):
    from pipeline.calibration import calibrate_on

    recipe = loads(RECIPE, settings=[f"evaluation.weighted={str(weighted).lower()}"])
    before = model.predict(validation[0], verbose=0)
    found = calibrate_on(recipe, model, validation)
    inputs, labels, weights, masks = validation
    used = (weights if weighted else masks)["click"]
    after = model.predict(inputs, verbose=0)
    mean = np.average(labels["click"], weights=used)
    assert np.average(after["click"], weights=used) == pytest.approx(mean, rel=1e-3)
    np.testing.assert_array_equal(after["plain"], before["plain"])

    assert json.loads(json.dumps(found)) == found and set(found) == {"click", "rare"}
    click, rare = found["click"], found["rare"]
    assert (click["method"], click["rows"], click["problem"]) == ("platt", int(masks["click"].sum()), None)
    assert click["parameters"] == model.calibrators["click"].parameters
    then, now = click["validation"]["before"], click["validation"]["after"]
    assert then["ece"] > 1.8 * now["ece"] and now["logloss"] < then["logloss"] < 1
    assert now["calibration"] == pytest.approx(1, rel=1e-3)
    assert rare["parameters"] is None and rare["rows"] == 0
    assert rare["validation"]["before"] == rare["validation"]["after"]
    assert rare["problem"] == (
        "rare is served without its isotonic calibration: on validation no row has a label and a weight "
        "above 0"
    )
    lines = list(calibration_lines({"calibration": found}))
    assert lines[0].startswith(f"click: platt (slope {click['parameters']['slope']:.4g}, intercept ")
    assert f"on the {click['rows']:,} validation rows it was fitted on ECE {then['ece']:.5f} to" in lines[0]
    assert lines[1] == rare["problem"]
    assert list(calibration_lines(None)) == list(calibration_lines({"epochs": []})) == []


def test_only_training_depends_on_it():
    recipe = loads(RECIPE)
    other = loads(RECIPE.replace("platt", "temperature"))
    weighted = loads(RECIPE, settings=["evaluation.weighted=true"])
    assert recipe.part("features", "evaluation") == other.part("features", "evaluation")
    assert recipe.part("tasks") != other.part("tasks")
    assert recipe.part("tasks") != weighted.part("tasks")  # what it is fitted by
    plain = [
        loads(RECIPE.replace("calibration: platt", "").replace("calibration: isotonic", ""), settings=s)
        for s in ([], ["evaluation.weighted=true"])
    ]
    assert plain[0].part("tasks") == plain[1].part("tasks")


def test_the_recipe_has_the_methods_that_there_are():
    from typing import get_args

    from mtl_models.calibration.calibrate import METHODS
    from pipeline.recipe.tasks import BinaryTask

    assert set(get_args(BinaryTask.model_fields["calibration"].annotation)) == {"none", *METHODS}
