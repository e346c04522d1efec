from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

LEAST_GAP = 1e-4


@keras.saving.register_keras_serializable("mtl_models")
class OrdinalHead(keras.layers.Layer):
    """One score for a row and ordered thresholds for all: logits of P(y > k), descending in k.

    `output_k = x·w - θ_k` with `θ_1` free and `θ_{k+1} = θ_k + softplus(d_k) + 1e-4`: the cumulative model of
    McCullagh, "Regression models for ordinal data" (JRSS B 1980), with the weights that CORAL shares (Cao,
    Mirjalili & Raschka 2020). As the thresholds cannot cross, no class ever gets a probability below 0.

    Args:
        initial: the logits of P(y > k) to start from, [K - 1], descending.
        seed: of the kernel.

    Input: [B, d]. Output: [B, K - 1].

    Raises:
        ValueError: if `initial` is empty or ascends.

    Example:
        >>> head = OrdinalHead([1.0, -1.0])
        >>> np.round(np.array(head(np.zeros((1, 3)))), 3).tolist()
        [[1.0, -1.0]]
    """

    def __init__(self, initial: Sequence[float], seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.initial = tuple(float(v) for v in initial)
        self.seed = seed
        if not self.initial or any(a < b for a, b in zip(self.initial, self.initial[1:])):
            raise ValueError(f"OrdinalHead: initial logits must descend; they are {self.initial}")

    def build(self, input_shape):
        start = -np.array(self.initial)
        gaps = np.maximum(np.diff(start) - LEAST_GAP, 1e-6)
        self.kernel = self.add_weight(
            (input_shape[-1], 1),
            name="kernel",
            initializer=keras.initializers.GlorotUniform(self.seed),
        )
        # float32 in any policy: thresholds may lie close together
        self.first = self.add_weight(
            (1,), name="first", initializer=keras.initializers.Constant(start[:1]), autocast=False
        )
        self.gaps = self.add_weight(
            (len(gaps),),
            name="gaps",
            # the inverse of softplus, which does not overflow
            initializer=keras.initializers.Constant(gaps + np.log(-np.expm1(-gaps))),
            autocast=False,
        )
        self.built = True

    def call(self, x):
        score = ops.cast(ops.matmul(x, self.kernel), "float32")
        return score - self.thresholds()

    def thresholds(self):
        """θ, ascending, [K - 1]."""
        steps = ops.softplus(self.gaps) + LEAST_GAP
        return ops.concatenate([self.first, self.first + ops.cumsum(steps)])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.initial))

    def get_config(self) -> dict:
        return {**super().get_config(), "initial": self.initial, "seed": self.seed}
