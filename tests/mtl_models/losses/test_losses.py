import numpy as np
import pytest
import tensorflow as tf

from mtl_models.losses import LOSSES, weighted_mean


def test_binary_crossentropy_equals_the_formula_and_stays_finite():
    y, z = np.array([1, 0, 1, 0], "float32"), np.array([0.3, -1.5, -2.0, 4.0], "float32")
    p = 1 / (1 + np.exp(-z.astype("float64")))
    np.testing.assert_allclose(
        LOSSES["binary_crossentropy"](y, z), -np.log(np.where(y == 1, p, 1 - p)), rtol=1e-6
    )
    extreme = LOSSES["binary_crossentropy"](np.array([0.0, 1.0], "float32"), np.array([1e4, 1e4], "float32"))
    np.testing.assert_allclose(extreme, [1e4, 0])


@pytest.mark.parametrize(
    "loss, expected", [("mse", [4, 0.25, 0]), ("mae", [2, 0.5, 0]), ("huber", [1.5, 0.125, 0])]
)
def test_regression_losses(loss, expected):
    target, output = np.array([1, 1, 1], "float32"), np.array([3, 0.5, 1], "float32")
    np.testing.assert_allclose(LOSSES[loss](target, output), expected)


def test_weighted_mean():
    values, weights = np.array([1, 2, 4], "float32"), np.array([1, 0, 3], "float32")
    assert float(weighted_mean(values, weights)) == pytest.approx(13 / 4)


def test_without_weight_value_and_gradient_are_exactly_zero():
    values = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        mean = weighted_mean(values * values, tf.zeros(2))
    assert float(mean) == 0
    np.testing.assert_array_equal(tape.gradient(mean, values), [0, 0])
