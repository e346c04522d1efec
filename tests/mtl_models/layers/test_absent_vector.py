import keras
import numpy as np

from mtl_models import AbsentVector

X = np.array([[1, 2], [np.nan, np.nan], [0, 0]], "float32")


def test_a_learned_vector_stands_for_rows_of_nan(drawn):
    layer = AbsentVector(learned=True)
    assert (keras.ops.convert_to_numpy(layer(X))[1] == 0).all()
    found = drawn(layer, X)
    np.testing.assert_array_equal(found, [[1, 2], layer.get_weights()[0], [0, 0]])


def test_zeros_where_nothing_is_learned(drawn):
    layer = AbsentVector()
    np.testing.assert_array_equal(drawn(layer, X), [[1, 2], [0, 0], [0, 0]])
    assert not layer.weights


def test_a_broken_vector_stays_broken():
    found = keras.ops.convert_to_numpy(AbsentVector(True)(np.array([[1, np.nan]], "float32")))
    np.testing.assert_array_equal(found, [[1, np.nan]])
