import inspect

import keras
import pytest

OF_ARRAYS = ("mtl_models.layers.", "mtl_models.weighting.")


@pytest.fixture(scope="session", autouse=True)
def compiled_layers():
    """On JAX layers and weightings run compiled, all of one class, settings and shapes by one function: run
    eagerly, every operation would be compiled on its own. What a layer keeps is written to it afterwards."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    functions, eagerly = {}, keras.layers.Layer.__call__

    def compiled(layer, training):
        def run(values, arrays):
            with keras.StatelessScope(zip(layer.variables, values)) as scope:
                found = eagerly(layer, **arrays, **training)
            return found, [scope.get_current_value(variable) for variable in layer.non_trainable_variables]

        return jax.jit(run)

    def call(layer, *inputs, **named):
        given = inspect.signature(layer.call).bind(*inputs, **named).arguments
        arrays = {name: x for name, x in given.items() if x is not None and name != "training"}
        training = {name: x for name, x in given.items() if name == "training"}
        traced = any(isinstance(x, (jax.core.Tracer, keras.KerasTensor)) for x in jax.tree.leaves(arrays))
        if traced or not type(layer).__module__.startswith(OF_ARRAYS):
            return eagerly(layer, *inputs, **named)
        if not layer.built:
            eagerly(layer, **jax.tree.map(lambda x: keras.KerasTensor(x.shape, str(x.dtype)), arrays))
        config = {name: value for name, value in layer.get_config().items() if name != "name"}
        what = type(layer), getattr(layer, "tasks", None), layer.get_build_config(), config, training
        run = functions.setdefault(repr(what), compiled(layer, training))
        found, kept = run([variable.value for variable in layer.variables], arrays)
        for variable, value in zip(layer.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Layer, "__call__", call)
        yield
