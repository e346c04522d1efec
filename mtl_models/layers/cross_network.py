import keras
from keras import ops

from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class CrossNetwork(keras.layers.Layer):
    """Crosses of a vector's entries, one degree more a layer (DCN-v2, Wang et al. 2021, eqs. 1 and 2).

    `x_{l+1} = x_0 ⊗ (W_l x_l + b_l) + x_l`, with `W_l = U_l V_lᵀ` of rank r where a rank is given: 2 D r
    weights a layer and not D².

    Args:
        depth: how many layers.
        rank: r; None for full kernels.
        seed: of the kernels.

    Input and output: [B, D].

    Example:

    >>> import numpy as np
    >>> from mtl_models import CrossNetwork
    >>> layer = CrossNetwork(depth=2, rank=3)
    >>> tuple(layer(np.ones((2, 5), "float32")).shape), layer.count_params()
    ((2, 5), 70)
    """

    def __init__(self, depth: int, rank: int | None = None, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth
        self.rank = rank
        self.seed = seed

    def build(self, input_shape):
        width = input_shape[-1]
        shapes = [(width, width)] if self.rank is None else [(width, self.rank), (self.rank, width)]
        self.kernels = [
            [
                self.add_weight(
                    shape,
                    name=f"kernel_{i}_{part}",
                    initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, "kernel", i, part)),
                )
                for part, shape in enumerate(shapes)
            ]
            for i in range(self.depth)
        ]
        self.biases = [
            self.add_weight((width,), name=f"bias_{i}", initializer="zeros") for i in range(self.depth)
        ]
        self.built = True

    def call(self, x):
        crossed = x
        for factors, bias in zip(self.kernels, self.biases):
            projected = crossed
            for factor in factors:
                projected = ops.matmul(projected, factor)
            crossed = x * (projected + bias) + crossed
        return crossed

    def get_config(self) -> dict:
        return {**super().get_config(), "depth": self.depth, "rank": self.rank, "seed": self.seed}
