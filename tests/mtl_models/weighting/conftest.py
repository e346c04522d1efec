import keras
import pytest


@pytest.fixture(scope="session")
def compiled():
    """Compiles a function of tensors by XLA, under whichever backend runs."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit
    import tensorflow as tf

    return lambda function: tf.function(function, jit_compile=True)


@pytest.fixture(scope="session")
def compiled_on_jax(compiled):
    """A function of tensors, compiled where running it eagerly would compile its loops at each call."""
    return compiled if keras.backend.backend() == "jax" else lambda function: function
