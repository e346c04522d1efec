import keras
from keras import ops

from mtl_models.layers.gate_unit import GateUnit


@keras.saving.register_keras_serializable("mtl_models")
class EPNetGate(keras.layers.Layer):
    """Embedding personalized network: a scenario scales the dense vector (Chang et al. 2023, EPNet).

    `x ⊗ GateUnit(scenario ⊕ stop_gradient(x))`: the gate sees the dense vector and does not train it, so
    that scenarios disagree in the gate and not in the embeddings they share.

    Args:
        units: width of the gate's hidden layer.
        seed: of the gate's kernels.

    Input: the dense vector [B, D] and the scenario's embeddings [B, S]. Output: [B, D].

    Example:

    >>> import numpy as np
    >>> from mtl_models import EPNetGate
    >>> x, scenario = np.ones((2, 5), "float32"), np.ones((2, 3), "float32")
    >>> tuple(EPNetGate(units=4)(x, scenario).shape)
    (2, 5)
    """

    def __init__(self, units: int, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.seed = seed

    def build(self, x_shape, scenario_shape):
        self.gate = GateUnit(x_shape[-1], self.units, self.seed, name="gate", dtype=self.dtype_policy)
        self.gate.build((None, scenario_shape[-1] + x_shape[-1]))
        self.built = True

    def call(self, x, scenario):
        return x * self.gate(ops.concatenate([scenario, ops.stop_gradient(x)], axis=-1))

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units, "seed": self.seed}
