import math

import keras
from keras import ops

from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class PeriodicEncoding(keras.layers.Layer):
    """Each number as sines and cosines of frequencies that are trained (Gorishniy et al. 2022,
    section 3.3).

    `[sin(2π c_1 x), …, sin(2π c_k x), cos(2π c_1 x), …, cos(2π c_k x)]` with frequencies `c` of each
    number's own, drawn from a normal distribution. It computes in float32 also where the layer's outputs
    are of less precision.

    Args:
        frequencies: k, how many a number.
        scale: standard deviation of the frequencies' first values: the paper's σ, to be tuned; the larger,
            the finer the differences between numbers that are told apart.
        seed: of the frequencies.

    Input: [B, n], standardized. Output: [B, n, 2 k].

    Example:

    >>> import numpy as np
    >>> from mtl_models import PeriodicEncoding
    >>> out = PeriodicEncoding(frequencies=2)(np.zeros((1, 3), "float32"))
    >>> np.asarray(out)[0, 0, 2:].tolist()
    [1.0, 1.0]
    """

    def __init__(self, frequencies: int, scale: float = 0.01, seed: int = 0, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.frequencies = frequencies
        self.scale = scale
        self.seed = seed

    def build(self, input_shape):
        self.frequency = self.add_weight(
            (input_shape[-1], self.frequencies),
            name="frequency",
            initializer=keras.initializers.RandomNormal(
                stddev=self.scale, seed=derive_seed(self.seed, "frequency")
            ),
            autocast=False,
        )
        self.built = True

    def call(self, x):
        angles = 2 * math.pi * self.frequency * ops.cast(x, "float32")[..., None]
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        return ops.cast(waves, self.compute_dtype)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "frequencies": self.frequencies,
            "scale": self.scale,
            "seed": self.seed,
        }
