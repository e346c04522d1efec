import keras
import numpy as np
import pytest

from mtl_models import IdDropout

# a vocabulary (missing 0, unknown 1), a hash without an unknown row, a list of two from row 20 on
UNKNOWN, MISSING = [1, -1, 21, 21], [0, 10, 20, 20]
IDS = np.tile([[5, 12, 25, -1], [0, 10, 20, 21]], (2000, 1))


def test_only_known_values_are_replaced_at_the_rate():
    layer = IdDropout(0.25, UNKNOWN, MISSING, seed=1)
    found = keras.ops.convert_to_numpy(layer(IDS, training=True))
    odd, even = found[1::2], found[::2]
    np.testing.assert_array_equal(odd, IDS[1::2])  # missing, or unknown already
    assert (even[:, 1] == 12).all() and (even[:, 3] == -1).all()
    for column, known in ((0, 5), (2, 25)):
        assert set(even[:, column]) == {known, UNKNOWN[column]}
        assert np.mean(even[:, column] != known) == pytest.approx(0.25, abs=0.04)
    both = np.mean((even[:, 0] != 5) & (even[:, 2] != 25))
    assert both == pytest.approx(0.0625, abs=0.02)  # each on its own
    again = keras.ops.convert_to_numpy(layer(IDS, training=True))
    assert (again != found).any()


def test_nothing_happens_without_training():
    layer = IdDropout(0.9, UNKNOWN, MISSING)
    np.testing.assert_array_equal(layer(IDS), IDS)
    again = IdDropout.from_config(layer.get_config())
    np.testing.assert_array_equal(layer(IDS[:1], training=True), again(IDS[:1], training=True))


@pytest.mark.parametrize(
    "rate, missing, words", [(1.0, MISSING, "less than 1"), (0.1, [0], "4 columns.*1 a")]
)
def test_refuses(rate, missing, words):
    with pytest.raises(ValueError, match=words):
        IdDropout(rate, UNKNOWN, missing)
