import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_models.draws import uniform


@pytest.fixture(params=[False, True], ids=["plain", "xla"])
def draw(request):
    """A function of a shape and a generator."""

    def drawn(shape, generator):
        return tf.function(lambda: uniform(shape, generator), jit_compile=request.param)

    return drawn


def test_a_seed_draws_the_same_numbers_and_then_others(draw):
    first, again = (draw((40, 30), keras.random.SeedGenerator(3)) for _ in range(2))
    numbers = np.asarray(first())
    np.testing.assert_array_equal(numbers, again())
    following = np.asarray(first())
    np.testing.assert_array_equal(following, again())
    assert np.mean(numbers == following) < 0.01


def test_they_are_uniform_and_independent(draw):
    drawn = np.asarray(draw((200, 200), keras.random.SeedGenerator(0))())
    ordered = np.sort(drawn.ravel())
    assert 0 <= ordered[0] and ordered[-1] < 1
    # Kolmogorov-Smirnov: beyond 1.95 / sqrt(n) once in a thousand
    assert np.abs(ordered - (np.arange(drawn.size) + 0.5) / drawn.size).max() < 1.95 / 200
    for a, b in ((drawn[1:], drawn[:-1]), (drawn[:, 1:], drawn[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02
