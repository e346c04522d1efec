import keras
import numpy as np
import pytest

from mtl_models import Task, Towers

TASKS = [
    Task("click", "binary", offset=0.2),
    Task("action", "multiclass", classes=3),
    Task("rating", "ordinal", classes=2),
    Task("spend", "regression", "ziln"),
]
SHAPES = [(), (3,), (1,), (3,)]


def features(rows=5, width=6):
    return np.random.default_rng(0).normal(size=(rows, len(TASKS), width)).astype("float32")


def arrays(outputs):
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def relu(x):
    return np.maximum(x, 0)


def heads(towers, x):
    """The dense heads by hand; the ordinal one is tested by itself."""
    for i, head in enumerate(towers.heads):
        if i != 2:
            y = x[:, i] @ np.asarray(head.kernel) + np.asarray(head.bias)
            yield i, y[:, 0] if y.shape[1] == 1 else y


@pytest.mark.parametrize("units", [(), (4, 3)])
def test_equals_a_forward_pass_by_hand(units):
    towers, x = Towers(TASKS, units), features()
    outputs = arrays(towers(x))
    assert [y.shape for y in outputs] == [(5, *shape) for shape in SHAPES]
    for kernel, bias in zip(towers.stack.kernels, towers.stack.biases):
        x = relu(np.einsum("btd,tdu->btu", x, np.asarray(kernel)) + np.asarray(bias))
    for i, expected in heads(towers, x):
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("units", [(), (4, 3)])
def test_a_prior_scales_the_input_of_every_layer_and_of_the_head(units):
    towers, x = Towers(TASKS, units, prior_width=7, prior_units=5), features()
    prior = np.random.default_rng(1).normal(size=(5, 7)).astype("float32")
    outputs, scales = arrays(towers(x, prior)), arrays(towers.gate(prior))
    assert len(scales) == len(units) + 1
    for step, scale in zip(towers.steps, scales):
        kernel, bias = np.asarray(step.kernels[0]), np.asarray(step.biases[0])
        x = relu(np.einsum("btd,tdu->btu", x * scale, kernel) + bias)
    for i, expected in heads(towers, x * scales[-1]):
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-5, atol=1e-6)


def test_says_that_a_prior_is_missing_or_too_much():
    with pytest.raises(ValueError, match=r"needs a prior \[B, 7\]"):
        Towers(TASKS, prior_width=7)(features())
    with pytest.raises(ValueError, match="prior_width is None"):
        Towers(TASKS)(features(), np.ones((5, 7), "float32"))


@pytest.mark.parametrize("settings", [{}, {"prior_width": 7, "dtype": "mixed_bfloat16"}])
def test_config_and_weights_round_trip(settings):
    towers = Towers(TASKS, (4,), seed=3, **settings)
    x, prior = features(1), np.ones((1, 7), "float32") if settings else None
    expected = arrays(towers(x, prior))
    again = Towers.from_config(towers.get_config())
    again(x, prior)
    again.set_weights(towers.get_weights())
    for found, wanted in zip(arrays(again(x, prior)), expected):
        np.testing.assert_array_equal(np.float32(found), np.float32(wanted))
