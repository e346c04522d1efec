"""Calibrators against closed forms, scikit-learn and what must hold of any rows."""

import json
import pkgutil

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

import mtl_models.calibration
from mtl_models import CannotCalibrate, IsotonicCalibration, PlattScaling, TemperatureScaling

MADE = [
    PlattScaling(1.7, -0.3),
    TemperatureScaling(2.5),
    IsotonicCalibration([-2.0, -0.5, 1.0], [-3.0, -2.9, 4.0]),
]


def test_every_calibrator_is_here():
    modules = {module.name for module in pkgutil.iter_modules(mtl_models.calibration.__path__)}
    assert modules - {"_base", "calibrate"} == {type(layer).__module__.split(".")[-1] for layer in MADE}


def array(x):
    return keras.ops.convert_to_numpy(x)


def expected(logits, probabilities):
    """Rows whose labels have exactly these probabilities [N, K]: each row K times, by weight."""
    rows, classes = probabilities.shape
    return np.repeat(logits, classes, axis=0), np.tile(np.arange(classes), rows), probabilities.reshape(-1)


def binary(logits, p):
    return expected(logits, np.stack([1 - p, p], axis=1))


@pytest.mark.parametrize("slope, intercept, scale", [(1.0, 0.0, 1e-4), (0.4, 1.5, 50.0), (2.5, -4.0, 1.0)])
def test_platt_recovers_slope_and_intercept(slope, intercept, scale):
    z = np.random.default_rng(0).normal(1.0, 2.0, 200_000)
    rows, labels, weights = binary(z, expit(slope * z + intercept))
    found = PlattScaling.fit(rows, labels, scale * weights)
    assert (found.slope, found.intercept) == (
        pytest.approx(slope, abs=1e-3),
        pytest.approx(intercept, abs=1e-3),
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered_of_every_kind(temperature):
    rng = np.random.default_rng(0)
    z = rng.normal(size=2000) * 2
    found = TemperatureScaling.fit(*binary(z, expit(z / temperature)))
    assert found.temperature == pytest.approx(temperature, abs=1e-3)
    z = rng.normal(size=(2000, 4))
    found = TemperatureScaling.fit(*expected(z, softmax(z / temperature, axis=1)), kind="multiclass")
    assert found.temperature == pytest.approx(temperature, abs=1e-3)
    z = rng.normal(size=(2000, 1)) - [-1.0, 0.5, 2.0]
    above = np.concatenate([np.ones((2000, 1)), expit(z / temperature), np.zeros((2000, 1))], axis=1)
    found = TemperatureScaling.fit(*expected(z, -np.diff(above)), kind="ordinal")
    assert found.temperature == pytest.approx(temperature, abs=1e-3)


def test_isotonic_recovers_an_increasing_function():
    z = np.linspace(-5, 3, 100_000)
    truth = 0.5 * z + np.sin(2 * z) / 5 - 1
    found = IsotonicCalibration.fit(*binary(z, expit(truth)))
    np.testing.assert_allclose(expit(array(found(z))), expit(truth), atol=2e-3)


def test_platt_equals_scikit_learn():
    rng = np.random.default_rng(1)
    z = rng.normal(-2, 1.5, 3000)
    labels, weights = (rng.random(3000) < expit(0.6 * z - 1)) * 1.0, rng.integers(0, 4, 3000)
    found = PlattScaling.fit(z, labels, weights)
    positives, negatives = weights @ labels, weights @ (1 - labels)
    target = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    reference = LogisticRegression(penalty=None, tol=1e-12, max_iter=1000).fit(
        np.r_[z, z][:, None],
        np.r_[np.ones(3000), np.zeros(3000)],
        np.r_[weights * target, weights * (1 - target)],
    )
    assert found.slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(reference.intercept_[0], rel=1e-4)


def test_isotonic_has_the_blocks_of_scikit_learn_and_adds_up():
    rng = np.random.default_rng(2)
    z = np.round(rng.normal(-1, 2, 2500), 2)  # with ties
    labels, weights = (rng.random(2500) < expit(np.tanh(z) - 0.5)) * 1.0, rng.integers(1, 4, 2500)
    found = IsotonicCalibration.fit(z, labels, weights)
    # rows in √N groups, a prediction's rows all in that of its middle row
    order = np.argsort(z, kind="stable")
    groups, before = {}, 0.0
    for value in np.unique(z):
        rows = order[z[order] == value]
        mass = weights[rows].sum()
        place = int((before + mass / 2) / weights.sum() * np.ceil(np.sqrt(weights.sum())))
        groups.setdefault(place, []).extend(rows)
        before += mass
    rows = list(groups.values())
    share = [np.average(labels[r], weights=weights[r]) for r in rows]
    mass = [weights[r].sum() for r in rows]
    steps = IsotonicRegression().fit(np.arange(len(rows)), share, mass).predict(np.arange(len(rows)))
    blocks = [np.concatenate([rows[i] for i in np.flatnonzero(steps == v)]) for v in np.unique(steps)]
    centres = logit([np.average(expit(z[b]), weights=weights[b]) for b in blocks])
    np.testing.assert_allclose(found.logits, centres, rtol=1e-5)
    positives, negatives = weights @ labels, weights @ (1 - labels)
    low, high = 1 / (negatives + 2), (positives + 1) / (positives + 2)
    values = logit(low + (high - low) * np.unique(steps))
    moved = np.array(found.calibrated) - values
    np.testing.assert_allclose(moved, moved[0], atol=1e-5)  # all by the same
    total = weights @ expit(array(found(z)))
    assert total == pytest.approx(weights @ np.where(labels > 0, high, low), rel=1e-5)


def test_isotonic_goes_through_its_points_and_on_with_slope_one():
    rng = np.random.default_rng(3)
    x, y = (np.cumsum(rng.exponential(size=40)).astype("float32") - 20 for _ in range(2))
    z = rng.normal(0, 30, 5000).astype("float32")
    beyond = np.minimum(z - x[0], 0) + np.maximum(z - x[-1], 0)
    layer = IsotonicCalibration(x, y)
    np.testing.assert_allclose(array(layer(z)), np.interp(z, x, y) + beyond, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(array(layer(x)), y)
    alone = IsotonicCalibration([0.5], [-1.0])
    np.testing.assert_array_equal(array(alone(np.float32([0, 1]))), [-1.5, -0.5])


rows = st.lists(
    st.tuples(st.floats(-30, 30, width=32), st.booleans(), st.integers(0, 3)), min_size=2, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([PlattScaling, IsotonicCalibration]))
def test_whatever_the_rows_ranks_stay_and_weights_are_repetitions(drawn, calibrator):
    z, labels, weights = (np.array(column, float) for column in zip(*drawn))
    times = weights.astype(int)
    try:
        found = calibrator.fit(z, labels, weights)
    except CannotCalibrate:
        with pytest.raises(CannotCalibrate):
            calibrator.fit(np.repeat(z, times), np.repeat(labels, times))
        return
    again = calibrator.fit(np.repeat(z, times), np.repeat(labels, times))
    at = np.sort(np.r_[z, np.linspace(-60, 60, 500)]).astype("float32")
    calibrated = array(found(at))
    np.testing.assert_allclose(calibrated, array(again(at)), rtol=1e-3, atol=1e-3)
    assert (np.diff(calibrated) >= 0).all()
    p = expit(calibrated.astype(float))
    assert ((p >= 0) & (p <= 1)).all()
    # labels alone make nothing certain
    assert calibrator is PlattScaling or np.abs(found.calibrated).max() < 7


@pytest.mark.parametrize("calibrator", [PlattScaling, TemperatureScaling, IsotonicCalibration])
def test_rows_that_tell_nothing_are_refused_in_words(calibrator):
    z = np.linspace(-1, 1, 50)
    for labels, weights, words in [
        (z > 0, np.zeros(50), "no row has a label and a weight above 0"),
        ([], [], "no row has a label"),
        (np.ones(50), None, "all of one class"),
        (z > 0, z > 0, "all of one class"),  # of those that count
    ]:
        with pytest.raises(CannotCalibrate, match=words):
            calibrator.fit(z[: len(labels)], labels, weights)


def test_rankings_are_not_turned_round():
    z = np.linspace(-2, 2, 400)
    against = binary(z, expit(-z))
    with pytest.raises(CannotCalibrate, match=r"slope -0.99\d\), and a slope below 0 would turn"):
        PlattScaling.fit(*against)
    with pytest.raises(CannotCalibrate, match="do not go with more positives"):
        IsotonicCalibration.fit(*against)
    with pytest.raises(CannotCalibrate, match="say nothing of the labels"):
        TemperatureScaling.fit(*against)
    with pytest.raises(CannotCalibrate, match="say all of the labels"):
        TemperatureScaling.fit(z, z > 0)
    with pytest.raises(CannotCalibrate, match="predictions are all the same"):
        PlattScaling.fit(np.zeros(4), [0, 1, 0, 1])


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: layer.method)
def test_is_of_its_configuration_alone_and_in_float32(layer):
    z = np.linspace(-6, 6, 41)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    for policy in ("float32", "mixed_float16"):
        config["config"]["dtype"] = policy
        again = keras.saving.deserialize_keras_object(config)
        assert not again.weights and array(again(z)).dtype == "float32"
        np.testing.assert_array_equal(array(again(z)), array(layer(z)))
    assert again.parameters == layer.parameters == json.loads(json.dumps(layer.parameters))


def test_what_is_no_calibrator_is_refused():
    for wrong, words in [
        (lambda: PlattScaling(0.0, 1.0), "slope must be above 0"),
        (lambda: PlattScaling(1.0, np.nan), "intercept finite"),
        (lambda: TemperatureScaling(-1.0), "above 0"),
        (lambda: IsotonicCalibration([], []), "no pairs"),
        (lambda: IsotonicCalibration([0.0, 1.0], [0.0]), "no pairs"),
        (lambda: IsotonicCalibration([0.0, 1.0], [1.0, 1.0]), "calibrated must be finite and ascend"),
        (lambda: IsotonicCalibration([1.0, 1.0 + 1e-9], [0.0, 1.0]), "logits must be finite and ascend"),
    ]:
        with pytest.raises(ValueError, match=words):
            wrong()


@pytest.mark.parametrize("calibrator", [PlattScaling, TemperatureScaling, IsotonicCalibration])
def test_numbers_that_are_not_finite_are_told(calibrator):
    z, labels = np.linspace(-2, 2, 50), np.arange(50) % 3 > 1
    for logits, weights, what in (
        (np.r_[np.nan, z[1:]], None, "1 of its 50 predictions"),
        (np.r_[z[1:], np.inf], None, "1 of its 50 predictions"),
        (z, np.r_[np.inf, np.inf, np.ones(48)], "2 of its 50 weights"),
    ):
        with pytest.raises(CannotCalibrate, match=f"{what} are not finite numbers"):
            calibrator.fit(logits, labels, weights)


@pytest.mark.parametrize(
    ("scale", "weights"), [(1.0, 1e30), (1.0, 10.0 ** np.linspace(-20, 20, 2000)), (1e30, 1.0)]
)
def test_isotonic_of_huge_weights_and_certain_predictions(scale, weights):
    rng = np.random.default_rng(0)
    z = rng.normal(size=2000)
    labels = rng.random(2000) < 1 / (1 + np.exp(-2 * z))
    found = IsotonicCalibration.fit(z * scale, labels, weights * np.ones(2000))
    calibrated = np.asarray(found(np.array([-3.0, 0.0, 3.0], "float32")))
    assert np.isfinite(calibrated).all() and (np.diff(calibrated) > 0).all()
