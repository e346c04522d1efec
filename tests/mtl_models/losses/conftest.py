"""What differs between Keras' backends: gradients and compilation."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def gradient():
    """`gradient(f)(x)`: of the scalar f(x) with respect to the array x, in float32."""

    def of(function):
        if keras.backend.backend() == "jax":
            import jax

            run = jax.jit(jax.grad(function))
            return lambda x: np.asarray(run(np.asarray(x, "float32")))
        import tensorflow as tf

        def run(x):
            x = tf.constant(x, "float32")
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
            return tape.gradient(value, x).numpy()

        return run

    return of


@pytest.fixture(scope="session")
def run(compiled):
    """Runs a function of arrays: eagerly, and compiled on JAX, which would compile operation by operation."""
    on_jax = keras.backend.backend() == "jax"
    return lambda function, *given: (compiled(function) if on_jax else function)(*given)


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
