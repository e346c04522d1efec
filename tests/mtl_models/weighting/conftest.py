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
