"""The Gram matrix of task gradients, apart into what does not depend on the losses' units and what does."""

from typing import Any, NamedTuple

from keras import ops


class UnitGram(NamedTuple):
    """`G_ij = n_i n_j C_ij`, over the tasks that have a gradient.

    Args:
        cosines: C, [T, T]; rows and columns of tasks without a gradient are those of the identity.
        norms: n, [T], divided by the greatest, so in (0, 1]; 1 for tasks without a gradient.
        active: bool [T], which tasks have a gradient.
    """

    cosines: Any
    norms: Any
    active: Any

    @property
    def count(self):
        """How many tasks have a gradient, at least 1, float32."""
        return ops.maximum(ops.sum(ops.cast(self.active, "float32")), 1.0)


def unit_gram(gram) -> UnitGram:
    """Separates cosines from norms.

    A task counts as having no gradient when its norm is below 1e-15 of the greatest. Every method here works
    on cosines and ratios of norms, so that losses of 1e-6 beside losses of 1e6 lose no digits in float32.

    Args:
        gram: [T, T], finite.
    """
    squares = ops.diagonal(gram)
    largest = ops.max(squares)
    active = squares > ops.maximum(1e-30 * largest, 0.0)
    norms = ops.sqrt(ops.where(active, squares, 1.0))
    both = ops.logical_and(ops.expand_dims(active, 1), ops.expand_dims(active, 0))
    cosines = ops.clip(gram / ops.expand_dims(norms, 1) / ops.expand_dims(norms, 0), -1.0, 1.0)
    identity = ops.eye(gram.shape[0])
    cosines = ops.where(ops.logical_and(both, identity == 0), cosines, identity)
    relative = norms / ops.sqrt(ops.where(largest > 0, largest, 1.0))
    return UnitGram(cosines, ops.where(active, relative, 1.0), active)
