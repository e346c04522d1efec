from collections.abc import Sequence

import keras

from mtl_models.tasks import Task


class Weighting(keras.layers.Layer):
    """Task weights from task losses.

    The total loss is `Σ_k c_k (w_k L_k + r_k)` over the tasks that have any weight in the batch: `c` the
    user's `loss_weight`, `w = weighting(losses, gram)` and `r = weighting.regularization()`. `c`
    multiplies both terms: on `w_k L_k` alone, a weighting that adapts would undo it.

    Methods that balance gradients are functions of the Gram matrix of task gradients `G_ij = g_i · g_j`
    (of `c_k L_k`, with respect to what the tasks share); they set `needs_gram`. A method with memory keeps
    it in weights of the layer, non-trainable ones updated in `call` when `training`. The gradient of the
    total flows into trainable ones; a method whose weights are to be constants stops it.

    The constructor of a subclass takes only what a recipe sets: annotated keyword arguments with literal
    defaults, described in its `Args:` section. The tasks come from the model through `bind`.
    """

    needs_gram = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tasks: tuple[Task, ...] = ()

    def bind(self, tasks: Sequence[Task]) -> None:
        """Sets the tasks, in the order of losses.

        Raises:
            ValueError: if the layer was already built, by another model.
        """
        if self.built:
            raise ValueError(f"{type(self).__name__} is already part of a model; give each model its own")
        self.tasks = tuple(tasks)

    def get_build_config(self) -> None:
        """None: the model builds this layer, once it has bound it."""

    def call(self, losses, gram=None, training=None):
        """Weights [T] from losses [T] and, where `needs_gram`, the Gram matrix [T, T]."""
        raise NotImplementedError(f"{type(self).__name__} must define call")

    def regularization(self):
        """What the method adds to each task's weighted loss, [T]."""
        raise NotImplementedError(f"{type(self).__name__} must define regularization")
