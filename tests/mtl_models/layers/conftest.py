"""What tests of layers share."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def drawn():
    """`drawn(layer, *inputs)`: the layer's outputs, of weights that are drawn anew, biases too."""

    def of(layer, *inputs):
        layer(*inputs)
        rng = np.random.default_rng(0)
        layer.set_weights([rng.normal(size=w.shape) / 2 for w in layer.weights])
        found = layer(*inputs)
        if isinstance(found, (list, tuple)):
            return [keras.ops.convert_to_numpy(x) for x in found]
        return keras.ops.convert_to_numpy(found)

    return of
