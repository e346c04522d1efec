import keras
from keras import ops

from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._solvers import nonnegative_quadratic
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class UPGrad(GramWeighting):
    """Unconflicting projection of gradients (Quinton & Rey 2024).

    Each gradient is projected on the cone `{x: x · g_j ≥ 0 for all j}` that conflicts with none, and the
    projections are added: `w = Σ_i v_i`, `v_i = argmin_{v ≥ e_i} vᵀG v` (proposition 1). So `G w ≥ 0`, and
    without conflict every task weighs 1. Needs the Gram matrix. It helps when tasks conflict and each should
    keep a say in proportion to its gradient's size; it hurts little, but leaves differences of scale alone.

    The K problems are solved together and without the paper's ridge on G; in exact arithmetic weights of one
    task are invariant to the units of all others' losses only up to the ratio of their norms.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Task, UPGrad
        >>> weighting = UPGrad()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.array([[1.0, -0.5], [-0.5, 1.0]], "float32")
        >>> [round(float(w), 4) for w in weighting(np.ones(2, "float32"), gram)]
        [1.5, 1.5]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def balance(self, unit, losses, training):
        return _weights(unit)


def upgrad_weights(gram):
    """Weights [T] of `UPGrad` from a finite Gram matrix [T, T]; 0 for tasks without a gradient."""
    return _weights(unit_gram(gram))


def _weights(unit: UnitGram):
    # v_ik = n_i (e_i + y_i)_k / n_k, so that the problems are those of the cosines
    both = ops.logical_and(ops.expand_dims(unit.active, 0), ops.expand_dims(unit.active, 1))
    linear = ops.where(both, unit.cosines, 1.0)
    y = nonnegative_quadratic(unit.cosines, linear) + ops.eye(unit.cosines.shape[0])
    return ops.sum(ops.where(both, ops.expand_dims(unit.norms, 1) * y, 0.0), axis=0) / unit.norms
