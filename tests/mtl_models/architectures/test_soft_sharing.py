import itertools

import numpy as np
import pytest

from mtl_models import SingleTask, SoftSharing

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
TASKS = ("a", "b", "c", "d")


def penalty(layer, present=(1, 1, 1, 1)):
    columns = [np.ones(6, "float32")] * len(present)
    weights = [np.full(6, p, "float32") for p in present]
    return float(layer.penalty(layer(X), columns, columns, weights))


@pytest.mark.parametrize("present", [(1, 1, 1, 1), (1, 0, 1, 1), (0, 1, 1, 0), (0, 0, 1, 0), (0, 0, 0, 0)])
def test_penalty_is_the_sum_over_pairs_that_are_present(present, built):
    layer = built(SoftSharing(units=(4, 3), strength=0.3), TASKS)
    rng = np.random.default_rng(5)
    for bias in layer.stack.biases:
        bias.assign(rng.normal(size=bias.shape))
    expected = 0.0
    for variable in layer.trainable_variables:
        values = np.asarray(variable, "float64")
        for j, k in itertools.combinations(range(4), 2):
            expected += 0.3 * present[j] * present[k] * np.square(values[j] - values[k]).sum()
    assert penalty(layer, present) == pytest.approx(expected, rel=1e-5)


def test_equal_tasks_are_at_no_distance(built):
    layer = built(SoftSharing(units=(4,)), TASKS)
    for variable in layer.trainable_variables:
        variable.assign(np.broadcast_to(np.asarray(variable)[:1], variable.shape))
    assert penalty(layer) == pytest.approx(0.0, abs=1e-9)


def test_features_are_those_of_single_tasks(built):
    soft, single = built(SoftSharing(units=(4, 3))), built(SingleTask(units=(4, 3)))
    for ours, theirs in zip(single.trainable_variables, soft.trainable_variables, strict=True):
        ours.assign(theirs)
    np.testing.assert_array_equal(soft(X), single(X))


def test_descending_it_brings_tasks_together(built, gradients):
    layer = built(SoftSharing(units=(4,), strength=0.1))
    columns = [np.ones(6, "float32")] * 2
    kernel = layer.stack.kernels[0]
    before = np.asarray(kernel)
    [gradient] = gradients(lambda: layer.penalty(None, columns, columns, columns), [kernel])
    np.testing.assert_allclose(gradient[0], 0.2 * (before[0] - before[1]), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(gradient[1], -gradient[0], rtol=1e-4, atol=1e-7)
