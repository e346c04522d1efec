from collections.abc import Sequence

import keras
from keras import ops

from mtl_models.layers.experts import Experts
from mtl_models.layers.periodic_encoding import PeriodicEncoding
from mtl_models.layers.piecewise_linear_encoding import PiecewiseLinearEncoding
from mtl_models.seeds import derive_seed

KINDS = ("piecewise_linear", "periodic")


class NumericEmbeddings(keras.layers.Layer):
    """Each number to a vector: `relu(encoding(x) W + b)`, W and b each number's own (Gorishniy et al. 2022,
    the forms Q-LR and PLR).

    Args:
        names: the numbers' names.
        kind: "piecewise_linear" or "periodic".
        units: length of a number's vector.
        bins: piecewise_linear: each number's edges.
        frequencies: periodic: how many a number.
        scale: periodic: standard deviation of the frequencies' first values.
        seed: of the weights.

    Input: [B, n]. Output: [B, n · units].

    Raises:
        ValueError: if the kind is unknown, or bins are not one list of edges a number.

    Example:
        >>> import numpy as np
        >>> layer = NumericEmbeddings(["age", "price"], "periodic", 4, None, frequencies=3, scale=1.0, seed=0)
        >>> tuple(layer(np.ones((5, 2), "float32")).shape)
        (5, 8)
    """

    def __init__(
        self,
        names: Sequence[str],
        kind: str,
        units: int,
        bins: Sequence[Sequence[float]] | None,
        frequencies: int,
        scale: float,
        seed: int,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(f"numeric_embedding must be one of {', '.join(KINDS)}; it is {kind!r}")
        self.numbers = len(names)
        self.units = units
        if kind == "periodic":
            self.encoding = PeriodicEncoding(
                frequencies, scale, derive_seed(seed, "encoding"), dtype=self.dtype_policy
            )
            self.encoded_width = 2 * frequencies
        elif bins is None or len(bins) != len(names):
            raise ValueError(
                f"numeric_bins must be a list of edges for each of {', '.join(names)}; it "
                + ("is missing" if bins is None else f"has {len(bins)}")
                + " (quantile_bins makes them)"
            )
        else:
            self.encoding = PiecewiseLinearEncoding(bins, dtype=self.dtype_policy)
            self.encoded_width = self.encoding.width
        # n perceptrons of one layer, each on its own number
        self.linear = Experts(
            self.numbers, (units,), seed=derive_seed(seed, "linear"), name="linear", dtype=self.dtype_policy
        )

    def build(self, input_shape=None):
        self.encoding.build((None, self.numbers))
        self.linear.build((None, self.numbers, self.encoded_width))
        self.built = True

    def call(self, numbers):
        return ops.reshape(self.linear(self.encoding(numbers)), (-1, self.numbers * self.units))
