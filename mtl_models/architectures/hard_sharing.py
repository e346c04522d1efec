import keras
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts


@keras.saving.register_keras_serializable("mtl_models")
class HardSharing(Architecture):
    """One perceptron that every task shares (Caruana 1997), also called shared bottom.

    Every task receives the same `z_k = f(x)`; towers alone tell tasks apart. Use it for closely related
    tasks, for the least latency, and as the baseline that other architectures have to beat.

    Args:
        units: width of each shared layer.
        dropout: share of each layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]].

    Raises:
        ValueError: if a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import HardSharing, Task
        >>> layer = HardSharing(units=(16, 8))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 8)
    """

    reads_own_copy = True
    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99)}

    def __init__(self, units: tuple[int, ...] = (128, 64), dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.dropout = dropout
        check_bounds(self)

    def build(self, input_shape):
        self.bottom = Experts(
            1, self.units, self.dropout, seed=self.seed, name="bottom", dtype=self.dtype_policy
        )
        self.bottom.build(input_shape)
        self.built = True

    def share(self, x, training=None):
        return self.bottom(x, training=training)[:, 0], None

    def separate(self, z, rest, training=None):
        return ops.stack(z if isinstance(z, list) else [z] * len(self.tasks), axis=1), {}

    def shared_variables(self) -> list:
        return self.bottom.trainable_variables

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
