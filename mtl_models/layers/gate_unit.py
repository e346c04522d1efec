import keras
from keras import ops

from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class GateUnit(keras.layers.Layer):
    """Gate Neural Unit: a small perceptron whose outputs scale something else (Chang et al. 2023,
    PEPNet's Gate NU).

    `2 · sigmoid(relu(x W + b) W' + b')`: between 0 and 2, and about 1 before training, so that what it
    scales begins as it is.

    Args:
        outputs: how many numbers are scaled.
        units: width of the hidden layer.
        seed: of the kernels.

    Input: [B, D]. Output: [B, outputs].

    Example:

    >>> import numpy as np
    >>> from mtl_models import GateUnit
    >>> tuple(GateUnit(outputs=3, units=4)(np.ones((2, 5), "float32")).shape)
    (2, 3)
    """

    def __init__(self, outputs: int, units: int, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.outputs = outputs
        self.units = units
        self.seed = seed

    def build(self, input_shape):
        self.hidden_kernel = self.add_weight(
            (input_shape[-1], self.units),
            name="hidden_kernel",
            initializer=keras.initializers.HeNormal(derive_seed(self.seed, "hidden_kernel")),
        )
        self.hidden_bias = self.add_weight((self.units,), name="hidden_bias", initializer="zeros")
        self.kernel = self.add_weight(
            (self.units, self.outputs),
            name="kernel",
            initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, "kernel")),
        )
        self.bias = self.add_weight((self.outputs,), name="bias", initializer="zeros")
        self.built = True

    def call(self, x):
        hidden = ops.relu(ops.matmul(x, self.hidden_kernel) + self.hidden_bias)
        return 2 * ops.sigmoid(ops.matmul(hidden, self.kernel) + self.bias)

    def get_config(self) -> dict:
        return {**super().get_config(), "outputs": self.outputs, "units": self.units, "seed": self.seed}
