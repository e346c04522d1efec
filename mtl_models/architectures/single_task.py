import keras

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts


@keras.saving.register_keras_serializable("mtl_models")
class SingleTask(Architecture):
    """A perceptron of each task's own; tasks share nothing but the inputs.

    Task `k` receives `z_k = f_k(x)`. With one task this is the single-task model that multi-task models are
    compared with, as in Caruana 1997 (the matched baseline: same inputs, widths and tower); with several, all
    of them are computed by one matmul a layer and meet in the embeddings alone. Use it to measure what
    sharing brings.

    Args:
        units: width of each layer of a task's perceptron.
        dropout: share of each layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]].

    Raises:
        ValueError: if a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import SingleTask, Task
        >>> layer = SingleTask(units=(8,))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 8)
    """

    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99)}

    def __init__(self, units: tuple[int, ...] = (128, 64), dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.dropout = dropout
        check_bounds(self)

    def build(self, input_shape):
        self.stack = Experts(
            len(self.tasks),
            self.units,
            self.dropout,
            seed=self.seed,
            name="tasks",
            dtype=self.dtype_policy,
        )
        self.stack.build(input_shape)
        self.built = True

    def separate(self, z, rest, training=None):
        return self.stack(z, training=training), {}

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
