"""A model with calibrators: what it predicts, saves and loads."""

import keras
import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from mtl_models import ESMM, Layout, MultiTaskModel, PlattScaling, Task, TemperatureScaling, calibrate

ROWS = 3000
TASKS = [
    Task("click", "binary", negatives_kept=0.25),
    Task("buy", "binary"),
    Task("kind", "multiclass", classes=3),
    Task("stars", "ordinal", classes=4),
    Task("seconds", "regression"),
]
METHODS = {"click": "platt", "buy": "isotonic", "kind": "temperature", "stars": "temperature"}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS).astype("float32")
    click = rng.random(ROWS) < expit(x - 2)
    y = {
        "click": click,
        "buy": click & (rng.random(ROWS) < 0.5),
        "kind": np.clip(np.round(x + rng.normal(size=ROWS)) + 1, 0, 2),
        "stars": np.clip(np.round(x + rng.normal(size=ROWS)) + 1, 0, 3),
        "seconds": x,
    }
    weights = {name: np.ones(ROWS) for name in y} | {"buy": rng.integers(0, 3, ROWS)}
    return {"x": x}, {name: np.asarray(v, "float32") for name, v in y.items()}, weights


@pytest.fixture
def model(data):
    """A few steps from nothing, so that much is left to calibrate."""
    keras.utils.set_random_seed(0)
    made = MultiTaskModel(Layout.of(numbers=["x"]), TASKS, ESMM(("click", "buy"), (8,)), seed=1)
    made.compile("adam")
    made.fit(*data[:2], epochs=2, verbose=0)
    return made


def test_predictions_go_through_what_was_fitted(model, data, tmp_path):
    x, y, weights = data
    before, count = model.predict(x, verbose=0), len(model.weights)
    assert calibrate(model, METHODS, x, y, weights) == {}
    after, fitted = model.predict(x, verbose=0), model.calibrators
    assert len(model.weights) == count
    platt, isotonic, kind, stars = (fitted[name] for name in METHODS)
    # of the coupled product, and of all data
    np.testing.assert_allclose(
        after["click"], expit(platt.slope * logit(before["click"]) + platt.intercept), rtol=1e-4
    )
    z = logit(before["buy"])
    beyond = np.minimum(z - isotonic.logits[0], 0) + np.maximum(z - isotonic.logits[-1], 0)
    through = np.interp(z, isotonic.logits, isotonic.calibrated) + beyond
    np.testing.assert_allclose(after["buy"], expit(through), rtol=1e-4)
    np.testing.assert_allclose(
        after["kind"], softmax(np.log(before["kind"]) / kind.temperature, axis=1), rtol=1e-4
    )
    above = logit(1 - np.cumsum(before["stars"].astype(float), axis=1)[:, :-1]) / stars.temperature
    np.testing.assert_allclose(1 - np.cumsum(after["stars"], axis=1)[:, :-1], expit(above), atol=1e-5)
    np.testing.assert_array_equal(after["seconds"], before["seconds"])
    for task in ("click", "buy"):
        mean = np.average(y[task], weights=weights[task])
        assert abs(np.average(before[task], weights=weights[task]) / mean - 1) > 0.2
        assert np.average(after[task], weights=weights[task]) == pytest.approx(mean, rel=0.01)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    bare = MultiTaskModel.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    assert loaded.get_config() == model.get_config()
    for task, predicted in after.items():
        np.testing.assert_array_equal(loaded.predict(x, verbose=0)[task], predicted)
        np.testing.assert_array_equal(bare.predict(x, verbose=0)[task], predicted)

    parameters = {name: c.parameters for name, c in fitted.items()}
    calibrate(model, METHODS, x, y, weights)  # again, and not of what is calibrated
    assert {name: c.parameters for name, c in model.calibrators.items()} == parameters
    model.set_calibrators({})
    np.testing.assert_array_equal(model.predict(x, verbose=0)["buy"], before["buy"])


def test_a_task_whose_rows_tell_nothing_stays_as_it_was(model, data):
    x, y, weights = data
    before = model.predict(x, verbose=0)
    left = calibrate(model, {"click": "platt", "buy": "isotonic"}, x, y, weights | {"click": np.zeros(ROWS)})
    assert left == {"click": "no row has a label and a weight above 0"} and set(model.calibrators) == {"buy"}
    np.testing.assert_array_equal(model.predict(x, verbose=0)["click"], before["click"])


def test_what_does_not_fit_is_refused(model, data):
    for methods, words in [
        ({"clicks": "platt"}, "'clicks' is not a task; those are click, buy"),
        ({"click": "plat"}, "there is platt, temperature, isotonic; it was to have 'plat'"),
        ({"kind": "isotonic"}, "'kind' is a multiclass task, for which there is temperature"),
        ({"seconds": "platt"}, "is a regression task, for which there is no calibration"),
    ]:
        with pytest.raises(ValueError, match=words):
            calibrate(model, methods, *data)
    with pytest.raises(ValueError, match="'like' is not a task"):
        model.set_calibrators({"like": TemperatureScaling(1.0)})
    with pytest.raises(ValueError, match="'kind' is a multiclass task, and PlattScaling is for binary"):
        model.set_calibrators({"kind": PlattScaling(1.0, 0.0)})
