import math

import keras
from keras import ops

from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class InformationTransfer(keras.layers.Layer):
    """Adaptive information transfer from one task to the next (Xi et al. 2021, the AIT module).

    `z = Σ_u w_u h₁(u)` over `u` in {own `p`, transferred `q`}, with `q = relu(A z' + b)` of the earlier
    task's `z'` and `w = softmax_u(⟨h₂(u), h₃(u)⟩ / √d)`; h₁, h₂ and h₃ are linear, without bias.

    Args:
        seed: of the kernels.

    Inputs: `p` [B, d] and `z'` [B, d].
    Outputs: `(z [B, d], w [B, 2])`, `w` in the order (own, transferred).

    Example:
        >>> import numpy as np
        >>> from mtl_models import InformationTransfer
        >>> z, w = InformationTransfer()(np.ones((3, 4), "float32"), np.ones((3, 4), "float32"))
        >>> tuple(z.shape), bool(np.allclose(np.sum(w, 1), 1))
        ((3, 4), True)
    """

    def __init__(self, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, own_shape, earlier_shape):
        width = own_shape[-1]

        def kernel(name, initializer):
            return self.add_weight(
                (width, width), name=name, initializer=initializer(derive_seed(self.seed, name))
            )

        self.transfer_kernel = kernel("transfer_kernel", keras.initializers.HeNormal)
        self.transfer_bias = self.add_weight((width,), name="transfer_bias", initializer="zeros")
        self.value, self.query, self.key = (
            kernel(name, keras.initializers.GlorotUniform) for name in ("value", "query", "key")
        )
        self.built = True

    def call(self, own, earlier):
        transferred = ops.relu(ops.matmul(earlier, self.transfer_kernel) + self.transfer_bias)
        both = ops.stack([own, transferred], axis=1)
        # ⟨h₂(u), h₃(u)⟩ = uᵀ M u with one matrix M of both kernels, and Σ w h₁(u) = h₁(Σ w u): four products
        # [B, d] × [d, d] for seven. Scaled before: in float16 the product of query and key could overflow
        form = ops.matmul(self.query / math.sqrt(own.shape[-1]), ops.transpose(self.key))
        weights = ops.softmax(ops.sum(ops.matmul(both, form) * both, axis=-1), axis=-1)
        return ops.matmul(ops.sum(weights[:, :, None] * both, axis=1), self.value), weights

    def compute_output_shape(self, own_shape, earlier_shape):
        return own_shape, (own_shape[0], 2)

    def get_config(self) -> dict:
        return {**super().get_config(), "seed": self.seed}
