import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("mtl_models")
class CrossStitchUnit(keras.layers.Layer):
    """Mixes the same unit of every task's layer (Misra et al. 2016, eq. 1), by weights of that unit.

    `x̃_j[u] = Σ_k α_jk[u] x_k[u]`, with α learned, at first `own` on the diagonal and the rest of 1 shared
    out evenly beside it, so that activations keep their scale.

    Args:
        own: first weight of a task's own activations.

    Input: [B, T, u]. Output: [B, T, u]. The weight `alpha` is [T, T, u]: task to, task from, unit.

    Example:
        >>> import numpy as np
        >>> from mtl_models import CrossStitchUnit
        >>> mixed = CrossStitchUnit(own=0.75)(np.array([[[4.0], [8.0]]], "float32"))
        >>> np.asarray(mixed).tolist()
        [[[5.0], [7.0]]]
    """

    def __init__(self, own: float = 0.9, **kwargs):
        super().__init__(**kwargs)
        self.own = own

    def build(self, input_shape):
        tasks, units = input_shape[1:]
        first = np.full((tasks, tasks), (1 - self.own) / max(tasks - 1, 1))
        np.fill_diagonal(first, self.own if tasks > 1 else 1.0)
        stacked = np.repeat(first[:, :, None], units, axis=2)
        self.alpha = self.add_weight(
            (tasks, tasks, units),
            name="alpha",
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(stacked, dtype=dtype),
        )
        self.built = True

    def call(self, x):
        return ops.einsum("bku,jku->bju", x, self.alpha)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "own": self.own}
