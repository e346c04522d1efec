from collections.abc import Sequence

import keras
from keras import ops

from mtl_models.layers.gate_unit import GateUnit
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class PPNetGate(keras.layers.Layer):
    """Parameter personalized network: what scales each tower layer's input (Chang et al. 2023).

    `δ_l = GateUnit_l(prior)`; layer `l` of task `t`'s tower then computes `f((δ_l,t ⊗ H_l,t) W + b)`. The
    prior holds the embeddings of the user, the item and the author, and the dense vector behind a stopped
    gradient (`FeatureInputs.gates_input`).

    Args:
        tasks: T, how many towers.
        widths: length of each tower layer's input, the head's included.
        units: width of each gate's hidden layer.
        seed: of the kernels.

    Input: [B, P]. Output: a list of [B, T, widths[l]].

    Example:

    >>> import numpy as np
    >>> from mtl_models import PPNetGate
    >>> gates = PPNetGate(tasks=2, widths=(8, 4), units=16)(np.ones((3, 6), "float32"))
    >>> [tuple(gate.shape) for gate in gates]
    [(3, 2, 8), (3, 2, 4)]
    """

    def __init__(self, tasks: int, widths: Sequence[int], units: int = 32, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks
        self.widths = tuple(widths)
        self.units = units
        self.seed = seed
        self.gates = [
            GateUnit(
                tasks * width, units, derive_seed(seed, "gate", i), name=f"gate_{i}", dtype=self.dtype_policy
            )
            for i, width in enumerate(self.widths)
        ]

    def build(self, input_shape):
        for gate in self.gates:
            gate.build(input_shape)
        self.built = True

    def call(self, prior):
        return [
            ops.reshape(gate(prior), (-1, self.tasks, width)) for gate, width in zip(self.gates, self.widths)
        ]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "tasks": self.tasks,
            "widths": self.widths,
            "units": self.units,
            "seed": self.seed,
        }
