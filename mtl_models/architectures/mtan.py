import keras
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts
from mtl_models.layers.task_attention import TaskAttention
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class MTAN(Architecture):
    """Multi-task attention network (Liu et al. 2019): one shared perceptron, a soft mask a task and layer.

    Of each shared layer `p_l`, task `k` takes `â_kl = a_kl ⊙ p_l` (eq. 1), whose mask `a_kl` in (0, 1)
    reads `p_l` and what the task took below (eq. 2, see `TaskAttention`); it receives the last one. Use it
    for many tasks that need the same features in different measure: a task adds masks, not experts.

    Args:
        units: width of each shared layer; at least one layer.
        dropout: share of each shared layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]]. What tasks share is all shared layers: [B, sum(units)].

    Raises:
        ValueError: if there is no layer, or a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import MTAN, Task
        >>> layer = MTAN(units=(8, 4))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 4)
    """

    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99)}

    def __init__(self, units: tuple[int, ...] = (128, 64), dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.dropout = dropout
        check_bounds(self)
        if not self.units:
            raise ValueError("MTAN masks the outputs of shared layers: units needs at least one")

    def build(self, input_shape):
        self.shared_layers, self.attentions = [], []
        width, below = input_shape[-1], None
        for i, units in enumerate(self.units):
            layer = Experts(
                1,
                (units,),
                self.dropout,
                seed=derive_seed(self.seed, i, "shared"),
                name=f"shared_{i + 1}",
                dtype=self.dtype_policy,
            )
            attention = TaskAttention(
                len(self.tasks),
                seed=derive_seed(self.seed, i, "attention"),
                name=f"attention_{i + 1}",
                dtype=self.dtype_policy,
            )
            layer.build((None, width))
            attention.build((None, units), below)
            width, below = units, (None, len(self.tasks), units)
            self.shared_layers.append(layer)
            self.attentions.append(attention)
        self.built = True

    def share(self, x, training=None):
        outputs = []
        for layer in self.shared_layers:
            x = layer(x, training=training)[:, 0]
            outputs.append(x)
        return ops.concatenate(outputs, axis=1), None

    def separate(self, z, rest, training=None):
        taken, start = None, 0
        for units, attention in zip(self.units, self.attentions):
            taken = attention(z[:, start : start + units], taken)
            start += units
        return taken, {}

    def shared_variables(self) -> list:
        """The shared layers, and what lifts a task's features to the next layer."""
        lifting = [v for a in self.attentions[1:] for v in (a.below_kernel, a.below_bias)]
        return [v for layer in self.shared_layers for v in layer.trainable_variables] + lifting

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
