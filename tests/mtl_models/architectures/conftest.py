import keras
import pytest

from mtl_models import Task


@pytest.fixture
def built():
    """An architecture bound to binary tasks, or to the tasks given, and built for inputs [B, 5]."""

    def build(architecture, tasks=("a", "b"), seed=3):
        architecture.bind([Task(t, "binary") if isinstance(t, str) else t for t in tasks], seed)
        architecture.build((None, 5))
        return architecture

    return build


@pytest.fixture
def gradients():
    """Gradients of `function()` with respect to Keras variables, as NumPy arrays, on either backend."""

    def of(function, variables):
        if keras.backend.backend() == "jax":
            import jax

            def stateless(values):
                with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                    return function()

            found = jax.grad(stateless)([v.value for v in variables])
        else:
            import tensorflow as tf

            with tf.GradientTape() as tape:
                value = function()
            found = tape.gradient(value, [v.value for v in variables], unconnected_gradients="zero")
        return [keras.ops.convert_to_numpy(g) for g in found]

    return of


@pytest.fixture
def compiled():
    """A function of arrays, compiled by XLA."""

    def compile_it(function):
        if keras.backend.backend() == "jax":
            import jax

            return jax.jit(function)
        import tensorflow as tf

        return tf.function(function, jit_compile=True)

    return compile_it
