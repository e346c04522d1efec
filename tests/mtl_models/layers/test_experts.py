import numpy as np
import pytest

from mtl_models import Experts


def numpy_experts(x, layer):
    """Each expert apart, in NumPy."""
    outputs = []
    for e in range(layer.experts):
        h = x if x.ndim == 2 else x[:, e]
        for kernel, bias in zip(layer.kernels, layer.biases):
            h = np.maximum(h @ np.asarray(kernel)[e] + np.asarray(bias)[e], 0)
        outputs.append(h)
    return np.stack(outputs, 1)


@pytest.mark.parametrize("shape", [(5, 4), (1, 4), (5, 3, 4)])
def test_equals_each_expert_apart(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = Experts(3, (6, 2), seed=1)
    layer.build((None, *shape[1:]))
    for i, bias in enumerate(layer.biases):
        bias.assign(np.random.default_rng(i).normal(size=bias.shape))
    np.testing.assert_allclose(layer(x), numpy_experts(x, layer), rtol=1e-5, atol=1e-6)


def test_experts_differ_at_the_start_and_have_the_scale_of_their_own_fan_in():
    layer = Experts(8, (50,), seed=0)
    layer.build((None, 200))
    kernel = np.asarray(layer.kernels[0])
    for i in range(8):
        for j in range(i):
            assert abs(np.corrcoef(kernel[i].ravel(), kernel[j].ravel())[0, 1]) < 0.05
        assert kernel[i].std() == pytest.approx(np.sqrt(2 / 200), rel=0.05)


def test_same_seed_same_weights_and_another_seed_others():
    kernels = []
    for seed in (4, 4, 5):
        layer = Experts(2, (3,), seed=seed)
        layer.build((None, 4))
        kernels.append(np.asarray(layer.kernels[0]))
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])


def test_without_units_every_expert_returns_the_input():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(Experts(4, ())(x), np.repeat(x[:, None], 4, 1))


@pytest.mark.parametrize("units", [(5, 2), ()])
def test_inputs_shared_by_groups_of_experts(units):
    x = np.random.default_rng(0).normal(size=(3, 2, 4)).astype("float32")
    grouped, apart = Experts(6, units, seed=1), Experts(6, units, seed=1)
    grouped.build(x.shape)
    apart.build((None, 6, 4))
    expected = apart(np.repeat(x, 3, axis=1))
    np.testing.assert_allclose(grouped(x), expected, rtol=1e-5, atol=1e-6)


def test_wrong_number_of_inputs():
    with pytest.raises(ValueError, match="2 inputs for 3 experts"):
        Experts(3, (4,)).build((None, 2, 5))
