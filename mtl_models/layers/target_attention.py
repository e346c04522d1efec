import keras
from keras import ops

from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class TargetAttention(keras.layers.Layer):
    """A history pooled by how much each entry bears on the target (DIN, Zhou et al. 2018, eq. 3).

    `Σ_j a(h_j, t) h_j` over the entries there, where the activation unit `a` is
    `prelu([t, h_j, t − h_j, t ⊗ h_j] W + b) w + b'` (the features of the authors' released code). As in the
    paper the weights are not put through a softmax: their sum tells how strongly the history speaks for the
    target. `b'` begins at 1, so that training begins near sum pooling, the paper's base model.

    Args:
        units: width of the activation unit; 36 in the paper.
        seed: of the kernels.

    Input: the target [B, dim], the history [B, L, dim] and its mask [B, L], true where an entry is there;
    what stands elsewhere never matters. Output: [B, dim], zeros where the history is empty.

    Example:

    >>> import numpy as np
    >>> from mtl_models import TargetAttention
    >>> target, items = np.ones((2, 4), "float32"), np.ones((2, 3, 4), "float32")
    >>> mask = np.array([[True, True, False], [False, False, False]])
    >>> pooled = np.asarray(TargetAttention()(target, items, mask))
    >>> pooled.shape, pooled[1].tolist()
    ((2, 4), [0.0, 0.0, 0.0, 0.0])
    """

    def __init__(self, units: int = 36, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.seed = seed

    def build(self, target_shape, items_shape=None, mask_shape=None):
        dim = target_shape[-1]
        self.kernel = self.add_weight(
            (4 * dim, self.units),
            name="kernel",
            initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, "kernel")),
        )
        self.bias = self.add_weight((self.units,), name="bias", initializer="zeros")
        self.slope = self.add_weight(
            (self.units,), name="slope", initializer=keras.initializers.Constant(0.25)
        )
        self.score_kernel = self.add_weight(
            (self.units, 1),
            name="score_kernel",
            initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, "score_kernel")),
        )
        self.score_bias = self.add_weight((1,), name="score_bias", initializer="ones")
        self.built = True

    def call(self, target, items, mask):
        items = ops.where(mask[..., None], items, ops.zeros_like(items))
        return ops.sum(self.weights_of(target, items, mask)[..., None] * items, axis=1)

    def weights_of(self, target, items, mask):
        """The weight of each entry: [B, L], 0 where there is none."""
        # t Wt + h Wh + (t − h) Wd = t (Wt + Wd) + h (Wh − Wd): the target is multiplied once a row, not
        # once an entry
        of_target, of_item, of_difference, of_product = ops.split(self.kernel, 4, axis=0)
        once = ops.matmul(target, of_target + of_difference) + self.bias
        each = ops.matmul(items, of_item - of_difference) + ops.matmul(target[:, None] * items, of_product)
        hidden = once[:, None] + each
        hidden = ops.relu(hidden) - self.slope * ops.relu(-hidden)
        scores = ops.matmul(hidden, self.score_kernel)[..., 0] + self.score_bias
        return ops.where(mask, scores, ops.zeros_like(scores))

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units, "seed": self.seed}
