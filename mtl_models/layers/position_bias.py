import keras
from keras import ops

from mtl_models.draws import uniform
from mtl_models.replicas import sum_over_replicas
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class PositionBias(keras.layers.Layer):
    """A shallow tower of the position alone, neutral at serving (Zhao et al. 2019).

    In training each output is `e W`, linear in the position's embedding, and is added to a task's logit: it
    takes up what the place on the page contributes, so that the main tower need not. Without training it is
    the running mean of the training rows' outputs, whatever the position: items are then compared as if all
    stood at an average place, and probabilities stay those of the log. In a share of training's rows (10 %
    in the paper) the mean stands in too, so that the main tower has been trained beside it.

    The mean over `n` batches is plain until 1 / n falls to `rate` and exponential after that.

    Args:
        outputs: how many tasks take part.
        dropout: share of training's rows that have the mean instead of their own.
        rate: weight of a new batch in the running mean.
        seed: of the kernel and the draws.

    Input: [B, dim]. Output: float32 [B, outputs].

    Raises:
        ValueError: if dropout is not at least 0 and less than 1.

    Example:

    >>> import numpy as np
    >>> from mtl_models import PositionBias
    >>> layer, positions = PositionBias(outputs=2), np.eye(3, dtype="float32")
    >>> trained = np.asarray(layer(positions, training=True))
    >>> served = np.asarray(layer(positions, training=False))
    >>> bool((served == served[0]).all()), served.shape
    (True, (3, 2))
    """

    def __init__(self, outputs: int, dropout: float = 0.1, rate: float = 0.01, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"PositionBias: dropout must be at least 0 and less than 1; it is {dropout}")
        self.outputs = outputs
        self.dropout_rate = dropout
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(derive_seed(seed, "dropout"))

    def build(self, input_shape):
        self.kernel = self.add_weight(
            (input_shape[-1], self.outputs),
            name="kernel",
            initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, "kernel")),
        )
        state = {"initializer": "zeros", "trainable": False, "autocast": False, "dtype": "float32"}
        self.mean = self.add_weight((self.outputs,), name="mean", **state)
        self.batches = self.add_weight((), name="batches", **state)
        self.built = True

    def call(self, x, training=False):
        if not training:
            rows = ops.zeros_like(x[:, :1], dtype="float32")
            return rows + ops.convert_to_tensor(self.mean)
        own = ops.cast(ops.matmul(x, self.kernel), "float32")
        batches = self.batches + 1.0
        rate = ops.maximum(1.0 / batches, self.rate)
        # over all replicas of a batch that is divided
        rows = sum_over_replicas(ops.cast(ops.shape(x)[0], "float32"))
        batch_mean = sum_over_replicas(ops.sum(ops.stop_gradient(own), axis=0)) / rows
        mean = self.mean + rate * (batch_mean - self.mean)
        self.batches.assign(batches)
        self.mean.assign(mean)
        if not self.dropout_rate:
            return own
        drawn = uniform((ops.shape(x)[0], 1), self.seed_generator)
        return ops.where(drawn < self.dropout_rate, mean, own)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "dropout": self.dropout_rate,
            "rate": self.rate,
            "seed": self.seed,
        }
