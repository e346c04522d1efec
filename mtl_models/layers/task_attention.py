import keras
from keras import ops

from mtl_models.layers.stacked_initializer import StackedInitializer
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class TaskAttention(keras.layers.Layer):
    """A soft mask for each task over a shared layer's units (Liu et al. 2019, eq. 1 and 2).

    `â_k = a_k ⊙ p` with the mask `a_k = σ(H_k relu(G_k [p; f(â'_k)] + b_k) + c_k)`: `p` the shared layer,
    `â'_k` what the task took from the layer below and `f = relu(F · + d)`, the same for all tasks. At the
    lowest layer the mask reads `p` alone. A block is one dense layer here, so the paper's `u` is `p`; its
    batch normalization is left out, as it would mix rows.

    Args:
        tasks: T.
        seed: of the kernels.

    Inputs: `p` [B, d], and None or what the tasks took below [B, T, d'].
    Output: [B, T, d].

    Example:
        >>> import numpy as np
        >>> from mtl_models import TaskAttention
        >>> layer = TaskAttention(tasks=2)
        >>> taken = layer(np.ones((3, 4), "float32"))
        >>> tuple(taken.shape), bool(np.all(np.asarray(taken) < 1))
        ((3, 2, 4), True)
    """

    def __init__(self, tasks: int, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks
        self.seed = seed

    def build(self, shared_shape, below_shape=None):
        units = shared_shape[-1]
        self.below_kernel = None
        if below_shape is not None:
            self.below_kernel = self.add_weight(
                (below_shape[-1], units),
                name="below_kernel",
                initializer=keras.initializers.HeNormal(derive_seed(self.seed, "below")),
            )
            self.below_bias = self.add_weight((units,), name="below_bias", initializer="zeros")
        # one kernel over [p; f(â')], so that its draws have the scale of the whole fan-in
        inputs = units if below_shape is None else 2 * units
        self.hidden_kernel = self._kernel("hidden", inputs, units, "he_normal")
        self.hidden_bias = self.add_weight((self.tasks, units), name="hidden_bias", initializer="zeros")
        self.mask_kernel = self._kernel("mask", units, units, "glorot_uniform")
        self.mask_bias = self.add_weight((self.tasks, units), name="mask_bias", initializer="zeros")
        self.built = True

    def _kernel(self, name: str, inputs: int, units: int, method: str):
        return self.add_weight(
            (self.tasks, inputs, units),
            name=f"{name}_kernel",
            initializer=StackedInitializer(method, derive_seed(self.seed, name)),
        )

    def call(self, shared, below=None):
        units = shared.shape[-1]
        hidden = ops.einsum("bd,tdu->btu", shared, self.hidden_kernel[:, :units]) + self.hidden_bias
        if below is not None:
            lifted = ops.relu(ops.matmul(below, self.below_kernel) + self.below_bias)
            hidden += ops.einsum("btd,tdu->btu", lifted, self.hidden_kernel[:, units:])
        logits = ops.einsum("btd,tdu->btu", ops.relu(hidden), self.mask_kernel) + self.mask_bias
        return ops.sigmoid(logits) * shared[:, None, :]

    def compute_output_shape(self, shared_shape, below_shape=None):
        return (shared_shape[0], self.tasks, shared_shape[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "tasks": self.tasks, "seed": self.seed}
