import keras
import numpy as np
import pytest

from mtl_models import Dropout

X = np.random.default_rng(0).normal(size=(400, 50)).astype("float32")


def test_a_share_is_0_and_the_rest_is_scaled():
    layer = Dropout(0.25, seed=1)
    found = keras.ops.convert_to_numpy(layer(X, training=True))
    kept = found != 0
    np.testing.assert_allclose(found[kept], X[kept] / 0.75, rtol=1e-6)
    assert np.mean(~kept) == pytest.approx(0.25, abs=0.015)
    # each on its own: rows, columns and neighbours agree no more often than by chance
    assert np.std(np.mean(~kept, axis=1)) == pytest.approx(np.sqrt(0.25 * 0.75 / 50), rel=0.15)
    assert np.mean(kept[:, 1:] == kept[:, :-1]) == pytest.approx(0.625, abs=0.015)
    again = keras.ops.convert_to_numpy(layer(X, training=True)) != 0
    assert np.mean(kept == again) == pytest.approx(0.625, abs=0.015)


def test_without_training_or_a_rate_nothing_changes(drawn):
    np.testing.assert_array_equal(drawn(Dropout(0.5), X[:5]), X[:5])
    np.testing.assert_array_equal(Dropout(0.0)(X, training=True), X)


def test_refuses_a_rate_of_1():
    with pytest.raises(ValueError, match="less than 1; it is 1"):
        Dropout(1)
