import numpy as np
import pytest
import tensorflow as tf

from mtl_models import Equal, Task, Uncertainty

TASKS = [Task("click", "binary"), Task("watch", "regression")]


def bound(weighting):
    weighting.bind(TASKS)
    weighting.build()
    return weighting


def test_equal():
    weighting = bound(Equal())
    np.testing.assert_array_equal(weighting(np.array([3.0, 4.0], "float32")), [1, 1])
    np.testing.assert_array_equal(weighting.regularization(), [0, 0])


def test_uncertainty_has_the_form_of_each_kind():
    weighting = bound(Uncertainty())
    s = np.array([0.7, -1.2], "float32")
    weighting.log_variances.assign(s)
    sigma = np.exp(s / 2)
    np.testing.assert_allclose(
        weighting(np.ones(2, "float32")), [1 / sigma[0] ** 2, 1 / (2 * sigma[1] ** 2)], rtol=1e-6
    )
    np.testing.assert_allclose(weighting.regularization(), np.log(sigma), rtol=1e-6)


def descend(weighting, losses, steps=3000):
    losses = tf.constant(losses)
    variable = weighting.log_variances
    for _ in range(steps):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(weighting(losses) * losses + weighting.regularization())
        variable.assign_sub(0.05 * tape.gradient(total, variable.value))
        variable.assign(variable.constraint(variable))
    return np.asarray(weighting(losses))


def test_uncertainty_settles_at_one_over_twice_the_loss():
    losses = np.array([0.3, 2.0], "float32")
    np.testing.assert_allclose(descend(bound(Uncertainty()), losses), 1 / (2 * losses), rtol=1e-3)


@pytest.mark.parametrize("losses", [[0.0, 0.0], [1e30, 1e30]])
def test_uncertainty_stays_finite_and_in_its_range(losses):
    weighting = bound(Uncertainty(minimum=-2.0, maximum=4.0))
    weights = descend(weighting, np.array(losses, "float32"), steps=200)
    assert np.isfinite(weights).all()
    s = weighting.log_variances.numpy()
    assert (s >= -2).all() and (s <= 4).all()


def test_uncertainty_leaves_its_bound_again():
    weighting = bound(Uncertainty(minimum=-1.0))
    descend(weighting, np.zeros(2, "float32"), steps=200)
    np.testing.assert_allclose(weighting.log_variances.numpy(), -1)
    np.testing.assert_allclose(descend(weighting, np.full(2, 0.5, "float32")), [1.0, 1.0], rtol=1e-3)


def test_uncertainty_refuses_an_empty_range():
    with pytest.raises(ValueError, match="minimum"):
        Uncertainty(minimum=1.0)
