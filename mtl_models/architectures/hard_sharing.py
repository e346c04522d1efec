import keras
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts


@keras.saving.register_keras_serializable("mtl_models")
class HardSharing(Architecture):
    """One perceptron that every task shares (Caruana 1997), also called shared bottom.

    Args:
        units: width of each shared layer.
        dropout: share of each layer's outputs that training sets to 0.
    """

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
        return ops.repeat(ops.expand_dims(z, 1), len(self.tasks), axis=1), {}

    def shared_variables(self) -> list:
        return self.bottom.trainable_variables

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
