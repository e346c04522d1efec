import keras

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.layers.cross_stitch_unit import CrossStitchUnit
from mtl_models.layers.experts import Experts
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class CrossStitch(Architecture):
    """Cross-stitch network (Misra et al. 2016): a perceptron a task, mixed unit by unit after each layer.

    After layer `l`, unit `u` of task `j` becomes `Σ_k α_jk[u] x_k[u]` (eq. 1), α learned from
    `self_weight` on the diagonal. With α the identity it is `SingleTask`. Use it for few tasks of equal
    standing, where it is not known which layers they should share; its cost grows with the square of the
    number of tasks. What the tasks share is the last layer before its stitch.

    Args:
        units: width of each layer of a task's perceptron; at least one layer.
        dropout: share of each layer's outputs that training sets to 0.
        self_weight: first weight of a task's own activations; the rest of 1 is shared out among the others.

    Input: [B, D]. Output: [B, T, units[-1]].

    Raises:
        ValueError: if there is no layer to stitch, or a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import CrossStitch, Task
        >>> layer = CrossStitch(units=(8, 4))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 4)
    """

    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99), "self_weight": (0.0, 1.0)}

    def __init__(
        self, units: tuple[int, ...] = (128, 64), dropout: float = 0.0, self_weight: float = 0.9, **kwargs
    ):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.dropout = dropout
        self.self_weight = self_weight
        check_bounds(self)
        if not self.units:
            raise ValueError("CrossStitch stitches the outputs of layers: units needs at least one")

    def build(self, input_shape):
        tasks = len(self.tasks)
        self.stacks, self.stitches = [], []
        shape = (None, input_shape[-1])
        for i, units in enumerate(self.units):
            stack = Experts(
                tasks,
                (units,),
                self.dropout,
                seed=derive_seed(self.seed, i),
                name=f"tasks_{i + 1}",
                dtype=self.dtype_policy,
            )
            stitch = CrossStitchUnit(self.self_weight, name=f"stitch_{i + 1}", dtype=self.dtype_policy)
            stack.build(shape)
            shape = (None, tasks, units)
            stitch.build(shape)
            self.stacks.append(stack)
            self.stitches.append(stitch)
        self.built = True

    def share(self, x, training=None):
        x = self.stacks[0](x, training=training)
        for stitch, stack in zip(self.stitches, self.stacks[1:]):
            x = stack(stitch(x), training=training)
        return x, None

    def separate(self, z, rest, training=None):
        return self.stitches[-1](z), {}

    def shared_variables(self) -> list:
        """All but the last stitch, whose rows are each read by one task."""
        return [v for layer in [*self.stacks, *self.stitches[:-1]] for v in layer.trainable_variables]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout,
            "self_weight": self.self_weight,
        }
