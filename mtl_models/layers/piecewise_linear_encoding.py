from collections.abc import Sequence

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("mtl_models")
class PiecewiseLinearEncoding(keras.layers.Layer):
    """Each number as how far it has come through each of its bins (Gorishniy et al. 2022, section
    3.2).

    For a number with edges `b_0 < … < b_T`, entry `t` is 0 where `x < b_{t−1}` and t > 1, 1 where
    `x ≥ b_t` and t < T, and otherwise `(x − b_{t−1}) / (b_t − b_{t−1})`: beyond the outer edges the first
    and the last entry go on linearly. A number with fewer bins than another has zeros at the end. It
    computes in float32 also where the layer's outputs are of less precision.

    Args:
        bins: for each number its edges, two at least, ascending; `quantile_bins` makes them.

    Input: [B, n]. Output: [B, n, T], T the largest number of bins.

    Raises:
        ValueError: if a number has fewer than two edges, or edges that do not ascend.

    Example:

    >>> import numpy as np
    >>> from mtl_models import PiecewiseLinearEncoding
    >>> layer = PiecewiseLinearEncoding([[0.0, 1.0, 3.0]])
    >>> np.asarray(layer(np.array([[0.25], [2.0], [5.0]], "float32"))).tolist()
    [[[0.25, 0.0]], [[1.0, 0.5]], [[1.0, 2.0]]]
    """

    def __init__(self, bins: Sequence[Sequence[float]], **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.bins = [[float(edge) for edge in edges] for edges in bins]
        for i, edges in enumerate(self.bins):
            stored = np.asarray(edges, "float32")
            if len(edges) < 2 or not np.isfinite(stored).all() or not (np.diff(stored) > 0).all():
                raise ValueError(
                    f"PiecewiseLinearEncoding: number {i} needs two edges at least, finite and ascending "
                    f"(as float32); they are {edges}"
                )
        shape = (len(self.bins), self.width)
        # bins that a number does not have are 0 whatever the number: lowest and highest are both 0
        self._start, self._size = np.zeros(shape, "float32"), np.ones(shape, "float32")
        self._lowest, self._highest = np.zeros(shape, "float32"), np.zeros(shape, "float32")
        for i, edges in enumerate(self.bins):
            bins_here = len(edges) - 1
            self._start[i, :bins_here] = edges[:-1]
            self._size[i, :bins_here] = np.diff(np.asarray(edges, "float32"))
            self._highest[i, :bins_here] = 1
            self._lowest[i, 0], self._highest[i, bins_here - 1] = -np.inf, np.inf

    @property
    def width(self) -> int:
        """T, the length of a number's encoding."""
        return max((len(edges) - 1 for edges in self.bins), default=0)

    def call(self, x):
        passed = (ops.cast(x, "float32")[..., None] - self._start) / self._size
        return ops.cast(ops.minimum(ops.maximum(passed, self._lowest), self._highest), self.compute_dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "bins": self.bins}
