from collections.abc import Sequence

import keras
from keras import ops

from mtl_models.tasks import DENSITIES, Task


class Weighting(keras.layers.Layer):
    """Task weights from task losses.

    The total loss is `Σ_k c_k (w_k L_k + r_k)` over the tasks that have any weight in the batch: `c` the
    user's `loss_weight`, `w = weighting(losses, gram, present)` and `r = weighting.regularization()`. `c`
    multiplies both terms: on `w_k L_k` alone, a weighting that adapts would undo it.

    A subclass defines `weigh`. Methods that balance gradients are functions of the Gram matrix of task
    gradients `G_ij = g_i · g_j` (of `c_k L_k`, with respect to what the tasks share): see `GramWeighting`.
    Weights are scaled so that tasks between which a method sees no difference weigh 1 each, as under
    `Equal`; papers whose weights sum to 1 are multiplied by the number of tasks.

    **Absent tasks.** A task without weight in the batch weighs 0; the others are weighed as if it did not
    exist, and what is remembered of it stays as it was. To the loss and to every gradient it adds exactly
    nothing. Its own tower then has a gradient of 0, which is not the same as standing still: the optimizer
    of the model moves it by what it remembers (Adam's moments) or decays (weight decay). The same holds for a task whose loss, or whose
    squared gradient norm, is not finite: no weight and no state is ever NaN because a loss is.

    **State.** Memory is in weights of the layer, saved with the model: non-trainable ones updated in `call`
    when `training`. The gradient of the total flows into trainable ones only: losses and Gram matrix are
    constants here. All of it is in float32, whatever the model's policy.

    The constructor of a subclass takes only what a recipe sets: annotated keyword arguments with literal
    defaults, described in its `Args:` section. The tasks come from the model through `bind`.
    """

    needs_gram = False
    """Whether training must give the Gram matrix."""

    only_shared = False
    """Whether weights multiply only the gradients of what tasks share, and not of a task's own tower."""

    needs_positive_losses = False
    """Whether it reads losses as sizes, by their logarithm, ratio or inverse: those of densities are none."""

    needs_losses_after = False
    """Whether `observe` is to be called after each training step."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.tasks: tuple[Task, ...] = ()

    def bind(self, tasks: Sequence[Task]) -> None:
        """Sets the tasks, in the order of losses.

        Raises:
            ValueError: if the layer was already built, by another model, or needs losses above 0 and a
                task's may be below.
        """
        if self.built:
            raise ValueError(f"{type(self).__name__} is already part of a model; give each model its own")
        below = [task for task in tasks if task.loss in DENSITIES]
        if self.needs_positive_losses and below:
            raise ValueError(
                f"{type(self).__name__} needs losses above 0, and loss {below[0].loss} of task "
                f"'{below[0].name}' may be below; take Equal or Fixed, or a weighting of gradients alone "
                "such as UPGrad"
            )
        self.tasks = tuple(tasks)

    def build(self, input_shape=None) -> None:
        self.built = True

    def get_build_config(self) -> None:
        """None: the model builds this layer, once it has bound it."""

    def call(self, losses, gram=None, present=None, training=None):
        """Weights of the tasks.

        Args:
            losses: [T], unweighted.
            gram: [T, T], where `needs_gram`.
            present: bool [T], which tasks have any weight in the batch; None: all.
            training: whether to update the state.

        Returns:
            float32 [T], finite.
        """
        losses = ops.cast(ops.stop_gradient(losses), "float32")
        here = ops.isfinite(losses)
        if present is not None:
            here = ops.logical_and(here, ops.cast(present, "bool"))
        if gram is not None:
            gram = ops.cast(ops.stop_gradient(gram), "float32")
            here = ops.logical_and(here, ops.isfinite(ops.diagonal(gram)))
            # a finite diagonal bounds what is off it (Cauchy-Schwarz); what is not finite there is of others
            usable = ops.logical_and(ops.expand_dims(here, 1), ops.expand_dims(here, 0))
            gram = ops.where(ops.logical_and(usable, ops.isfinite(gram)), gram, 0.0)
        weights = self.weigh(ops.where(here, losses, 0.0), gram, here, bool(training))
        return ops.where(here, weights, 0.0)

    def weigh(self, losses, gram, present, training: bool):
        """Weights [T] from finite losses [T] and Gram matrix [T, T], 0 where `present` [T] is False.

        What it returns for tasks that are not present is not read.
        """
        raise NotImplementedError(f"{type(self).__name__} must define weigh")

    def regularization(self):
        """What the method adds to each task's weighted loss, [T]."""
        return ops.zeros((len(self.tasks),))

    def observe(self, losses_before, losses_after) -> None:
        """Told the losses [T] of one batch before and after the optimizer's step on it."""

    def end_epoch(self) -> None:
        """Told that an epoch of training has ended."""

    def add_state(self, name: str, shape: tuple = (), initializer="zeros"):
        """A non-trainable weight, float32, [T] by default."""
        return self.add_weight(
            shape or (len(self.tasks),), name=name, initializer=initializer, trainable=False
        )
