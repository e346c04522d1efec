import keras
import numpy as np
import pytest
from keras import ops

from mtl_models import ESCM2, Task

X = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softplus(z):
    return np.logaddexp(0, z)


def columns(seed=1):
    rng = np.random.default_rng(seed)
    outputs = [rng.normal(0, 3, 8).astype("float32") for _ in range(2)]
    labels = [np.array(y, "float32") for y in ([1, 0, 1, 1, 0, 1, 0, 1], [1, 0, 0, 1, 0, 0, 0, 1])]
    weights = [np.array(w, "float32") for w in ([1, 1, 1, 0, 2, 1, 1, 1], [1, 2, 1, 1, 1, 0, 1, 3])]
    return outputs, labels, weights


def by_hand(layer, features, outputs, labels, weights, estimator, least):
    w = weights[1] * (weights[0] > 0)
    propensity = np.maximum(sigmoid(outputs[0]), least)
    error = softplus(outputs[1]) - labels[1] * outputs[1]
    if estimator == "ips":
        risk = labels[0] * error / propensity
    else:
        h = np.asarray(features)[:, 1]
        for kernel in layer.imputation.kernels:
            h = np.maximum(h @ np.asarray(kernel)[0], 0)
        imputed = softplus(h @ np.asarray(layer.imputation_head.kernel))[:, 0]
        risk = imputed + labels[0] * (error - imputed) / propensity
        risk = risk + labels[0] * (error - imputed) ** 2 / propensity
    return 0.4 * np.sum(w * risk) / np.sum(w)


@pytest.mark.parametrize("least", [1e-6, 0.3])
@pytest.mark.parametrize("estimator", ["ips", "dr"])
def test_penalty_by_hand(estimator, least, built):
    layer = built(
        ESCM2(
            units=(4, 3),
            estimator=estimator,
            counterfactual_weight=0.4,
            min_propensity=least,
            imputation_units=(3, 2),
        )
    )
    outputs, labels, weights = columns()
    features = layer(X)
    expected = by_hand(layer, features, outputs, labels, weights, estimator, least)
    assert (sigmoid(outputs[0]) < 0.3).any()
    assert float(layer.penalty(features, outputs, labels, weights)) == pytest.approx(expected, rel=1e-5)


def test_ips_is_the_risk_over_all_rows_where_propensities_are_true(built):
    """Whoever clicks buys less often here, and the risk had everyone clicked is still found."""
    layer = built(ESCM2(units=(4,), estimator="ips", counterfactual_weight=1.0))
    rng = np.random.default_rng(0)
    click = rng.normal(0, 1, 40_000).astype("float32")
    conversion = np.full(40_000, -1.0, "float32")
    clicked = (rng.uniform(size=40_000) < sigmoid(click)).astype("float32")
    would_buy = (rng.uniform(size=40_000) < sigmoid(-2 * click)).astype("float32")
    ones = np.ones(40_000, "float32")
    found = float(layer.penalty(None, [click, conversion], [clicked, would_buy * clicked], [ones, ones]))
    error = softplus(conversion) - would_buy * conversion
    assert found == pytest.approx(error.mean(), rel=0.03)
    assert np.average(error, weights=clicked) < 0.9 * error.mean()


@pytest.mark.parametrize("estimator", ["ips", "dr"])
def test_propensities_take_no_gradient(estimator, built, gradients):
    layer = built(ESCM2(units=(4,), estimator=estimator))
    outputs, labels, weights = columns()
    towers = [keras.Variable(o) for o in outputs]
    features = layer(X)
    of_click, of_conversion = gradients(
        lambda: layer.penalty(features, [t + 0.0 for t in towers], labels, weights), towers
    )
    assert (of_click == 0).all()
    unknown = (weights[0] == 0) | (weights[1] == 0)
    assert (of_conversion[unknown] == 0).all() and (of_conversion[labels[0] == 0] == 0).all()
    assert (of_conversion[(labels[0] == 1) & ~unknown] != 0).all()


def test_ips_gradient_by_hand(built, gradients):
    layer = built(ESCM2(units=(4,), estimator="ips", counterfactual_weight=1.0, min_propensity=0.1))
    outputs, labels, weights = columns()
    tower = keras.Variable(outputs[1])
    [found] = gradients(lambda: layer.penalty(None, [outputs[0], tower + 0.0], labels, weights), [tower])
    w = weights[1] * (weights[0] > 0)
    expected = w * labels[0] / np.maximum(sigmoid(outputs[0]), 0.1) * (sigmoid(outputs[1]) - labels[1])
    np.testing.assert_allclose(found, expected / w.sum(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("estimator", ["ips", "dr"])
def test_finite_far_out(estimator, built, gradients):
    layer = built(ESCM2(units=(4,), estimator=estimator))
    far = np.array([-1e8, -3e3, -90, 0, 90, 3e3, 1e8, 5], "float32")
    towers = [keras.Variable(far), keras.Variable(far[::-1].copy())]
    _, labels, weights = columns()

    def penalty():
        return layer.penalty(layer(X), [t + 0.0 for t in towers], labels, weights)

    assert np.isfinite(float(penalty()))
    for gradient in gradients(penalty, [*towers, *layer.trainable_variables]):
        assert np.isfinite(gradient).all()


def test_rows_of_a_sampled_conversion_stand_for_all(built):
    """Half of its negatives twice over are all of them: the same risk as without sampling."""
    settings = {"units": (4,), "estimator": "ips"}
    plain = built(ESCM2(**settings))
    sampled = built(ESCM2(**settings), [Task("a", "binary"), Task("b", "binary", negatives_kept=0.5)])
    outputs, labels, _ = columns()
    ones = np.ones(8, "float32")
    doubled = np.where(labels[1] < 0.5, 2 * ones, ones)
    expected = float(plain.penalty(None, outputs, labels, [ones, doubled]))
    assert float(sampled.penalty(None, outputs, labels, [ones, ones])) == pytest.approx(expected, rel=1e-6)


def test_it_couples_as_esmm(built):
    layer = built(ESCM2(units=(4,)))
    coupled = layer.couple([ops.zeros(1), ops.zeros(1)], {})[1]
    assert float(coupled[0]) == pytest.approx(np.log(1 / 3), rel=1e-6)


def test_what_it_refuses(built):
    with pytest.raises(ValueError, match="estimator 'direct' is not one of"):
        ESCM2(estimator="direct")
    with pytest.raises(ValueError, match="must name two tasks.*'a', 'b', 'c'"):
        built(ESCM2(), ("a", "b", "c"))
