"""What differs between Keras' backends: gradients and compilation."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def gradient():
    """`gradient(f, x)`: of the scalar f(x) with respect to the array x, in float32."""

    def of(function, x):
        x = np.asarray(x, "float32")
        if keras.backend.backend() == "jax":
            import jax

            return np.asarray(jax.grad(function)(x))
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return tape.gradient(value, x).numpy()

    return of


@pytest.fixture(scope="session")
def compiled():
    """A function of arrays, compiled with XLA."""

    def of(function):
        if keras.backend.backend() == "jax":
            import jax

            return jax.jit(function)
        import tensorflow as tf

        return tf.function(function, jit_compile=True)

    return of
