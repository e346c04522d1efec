import keras
from keras import ops

from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class StackedInitializer(keras.initializers.Initializer):
    """Independent draws for each member of a stack of kernels: of variance `2 / (in + out)` (Glorot & Bengio
    2010) or `2 / in` (He et al. 2015).

    A Keras initializer given the shape [E, in, out] would read E as a convolution's width and scale
    wrongly, and one seed a member would make all members equal.

    Args:
        method: "glorot_uniform" or "he_normal".
        seed: member `i` draws with a seed derived from this and `i`.

    Example:
        >>> import numpy as np
        >>> from mtl_models.layers.stacked_initializer import StackedInitializer
        >>> kernels = np.asarray(StackedInitializer("he_normal", seed=0)((2, 300, 10)))
        >>> bool(np.allclose(kernels.std((1, 2)), np.sqrt(2 / 300), rtol=0.1))
        True
    """

    def __init__(self, method: str, seed: int):
        self.method = method
        self.seed = seed

    def __call__(self, shape, dtype=None):
        kind = {"glorot_uniform": keras.initializers.GlorotUniform, "he_normal": keras.initializers.HeNormal}[
            self.method
        ]
        return ops.stack(
            [kind(seed=derive_seed(self.seed, i))(shape[1:], dtype=dtype) for i in range(shape[0])]
        )

    def get_config(self) -> dict:
        return {"method": self.method, "seed": self.seed}
