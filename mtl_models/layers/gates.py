from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from mtl_models.layers.stacked_initializer import StackedInitializer
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class Gates(keras.layers.Layer):
    """Softmax gates over experts, all of them one einsum (Ma et al. 2018, eq. 7).

    Args:
        gates: G, how many.
        experts: E, how many experts there are to choose from.
        visible: for each gate, the experts it may use; None lets every gate use all. The weight of an
            expert that a gate may not use is exactly 0.
        seed: of the kernels.

    Input: [B, D], the same for every gate, or [B, G, D], one for each.
    Output: [B, G, E], each gate's weights summing to 1.
    """

    def __init__(
        self,
        gates: int,
        experts: int,
        visible: Sequence[Sequence[int]] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.gates = gates
        self.experts = experts
        self.visible = None if visible is None else [list(v) for v in visible]
        self.seed = seed
        self._mask = None
        if visible is not None:
            if len(self.visible) != gates or not all(self.visible):
                raise ValueError(
                    f"Gates: visible must name at least one expert for each of {gates} gates; "
                    f"it is {self.visible}"
                )
            self._mask = np.zeros((gates, experts), bool)
            for gate, seen in enumerate(self.visible):
                self._mask[gate, seen] = True

    def build(self, input_shape):
        self.kernel = self.add_weight(
            (self.gates, input_shape[-1], self.experts),
            name="kernel",
            initializer=StackedInitializer("glorot_uniform", derive_seed(self.seed, "kernel")),
        )
        self.built = True

    def call(self, x):
        form = "bd,gde->bge" if len(x.shape) == 2 else "bgd,gde->bge"
        logits = ops.einsum(form, x, self.kernel)
        if self._mask is not None:
            # the lowest finite number of the dtype: exp of it is exactly 0, and no NaN can arise
            lowest = -3e4 if keras.backend.standardize_dtype(logits.dtype) == "float16" else -1e30
            logits = ops.where(self._mask, logits, ops.full_like(logits, lowest))
        return ops.softmax(logits, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.gates, self.experts)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "gates": self.gates,
            "experts": self.experts,
            "visible": self.visible,
            "seed": self.seed,
        }
