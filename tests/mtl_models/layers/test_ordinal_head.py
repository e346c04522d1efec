import keras
import numpy as np
import pytest

from mtl_models import OrdinalHead


def test_equals_the_formula_and_starts_where_it_is_told():
    head, x = OrdinalHead([2.0, 0.5, 0.5, -3.0], seed=3), np.random.default_rng(0).normal(size=(5, 4))
    x = x.astype("float32")
    zero = keras.ops.convert_to_numpy(head(0 * x))
    np.testing.assert_allclose(zero, np.tile([2, 0.5, 0.5, -3], (5, 1)), atol=2e-4)  # apart at least by 1e-4
    kernel, first, gaps = (keras.ops.convert_to_numpy(w) for w in head.weights)
    thresholds = np.cumsum([first[0], *(np.log1p(np.exp(gaps)) + 1e-4)])
    np.testing.assert_allclose(head(x), x @ kernel - thresholds, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_thresholds_never_cross(policy):
    head = OrdinalHead(np.zeros(3), dtype=policy)
    head.build((None, 2))
    head.set_weights([np.ones((2, 1)), np.array([100.0]), np.array([-1e4, 30.0])])
    output = keras.ops.convert_to_numpy(head(np.ones((2, 2), "float32")))
    assert output.dtype == "float32" and (np.diff(output, axis=1) < 0).all() and np.isfinite(output).all()


def test_two_classes_and_wrong_starts():
    head = OrdinalHead([0.7])
    assert head(np.ones((1, 3), "float32")).shape == (1, 1)
    assert head.compute_output_shape((None, 3)) == (None, 1)
    for wrong in ([], [0.0, 1.0]):
        with pytest.raises(ValueError, match="must descend"):
            OrdinalHead(wrong)
