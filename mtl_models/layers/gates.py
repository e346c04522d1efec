import keras
from keras import ops

from mtl_models.layers.stacked_initializer import StackedInitializer
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class Gates(keras.layers.Layer):
    """Softmax gates over experts, all of them one einsum (Ma et al. 2018, section 4.2).

    Gate `k` gives the weights `softmax(W_k x)`.

    Args:
        gates: G, how many.
        experts: E, how many experts each chooses from.
        seed: of the kernels.

    Input: [B, D], the same for every gate, or [B, G, D], one for each.
    Output: [B, G, E], each gate's weights summing to 1.

    Raises:
        ValueError: if there is not one input for all gates or one for each.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Gates
        >>> weights = Gates(gates=2, experts=3)(np.ones((4, 5), "float32"))
        >>> tuple(weights.shape), bool(np.allclose(np.sum(weights, 2), 1))
        ((4, 2, 3), True)
    """

    def __init__(self, gates: int, experts: int, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.gates = gates
        self.experts = experts
        self.seed = seed

    def build(self, input_shape):
        if len(input_shape) == 3 and input_shape[1] != self.gates:
            raise ValueError(f"Gates: input {input_shape} has {input_shape[1]} inputs for {self.gates} gates")
        self.kernel = self.add_weight(
            (self.gates, input_shape[-1], self.experts),
            name="kernel",
            initializer=StackedInitializer("glorot_uniform", derive_seed(self.seed, "kernel")),
        )
        self.built = True

    @property
    def first_kernel(self):
        """[G, D, E]. See `joint_products`."""
        return self.kernel

    def call(self, x, product=None):
        """The gates' weights; `product` [B, G, E] is that of `x` and the kernel, where known."""
        if product is None:
            product = ops.einsum("bd,gde->bge" if len(x.shape) == 2 else "bgd,gde->bge", x, self.kernel)
        return ops.softmax(product, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.gates, self.experts)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "gates": self.gates,
            "experts": self.experts,
            "seed": self.seed,
        }
