import keras
import numpy as np
import pytest

from mtl_models import PositionBias


def outputs(layer, x, **how):
    return keras.ops.convert_to_numpy(layer(x, **how))


def test_linear_in_training_and_its_mean_at_serving(drawn):
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    layer = PositionBias(3, dropout=0.0)
    drawn(layer, x)
    kernel = layer.get_weights()[0]
    layer.set_weights([kernel, np.zeros(3), np.zeros(())])
    np.testing.assert_allclose(outputs(layer, x, training=True), x @ kernel, rtol=1e-5)
    # the first batch's mean, whatever the position
    np.testing.assert_allclose(
        outputs(layer, 9 * x[:2]), np.tile((x @ kernel).mean(0), (2, 1)), rtol=1e-5, atol=1e-6
    )


def test_the_running_mean_is_plain_and_then_exponential():
    layer = PositionBias(1, dropout=0.0, rate=0.25)
    layer(np.ones((1, 1), "float32"))
    layer.set_weights([np.ones((1, 1)), np.zeros(1), np.zeros(())])
    mean, values = 0.0, [3.0, 5.0, 1.0, 9.0, 2.0, 4.0, 8.0]
    for n, value in enumerate(values, 1):
        layer(np.full((2, 1), value, "float32"), training=True)
        mean += max(1 / n, 0.25) * (value - mean)
        assert outputs(layer, np.zeros((1, 1), "float32"))[0, 0] == pytest.approx(mean, rel=1e-6)
        if n == 4:
            assert mean == pytest.approx(np.mean(values[:4]))


def test_dropped_rows_have_the_mean():
    x = np.random.default_rng(0).normal(size=(2000, 4)).astype("float32")
    layer = PositionBias(2, dropout=0.3, seed=1)
    found = outputs(layer, x, training=True)
    kernel = layer.get_weights()[0]
    dropped = np.isclose(found, outputs(layer, x), rtol=1e-5, atol=1e-7).all(1)
    assert dropped.mean() == pytest.approx(0.3, abs=0.04)
    np.testing.assert_allclose(found[~dropped], (x @ kernel)[~dropped], rtol=1e-4, atol=1e-5)


def test_refuses_dropping_every_position():
    with pytest.raises(ValueError, match="less than 1"):
        PositionBias(1, dropout=1.0)
