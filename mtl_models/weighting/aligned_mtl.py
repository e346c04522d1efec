import keras
from keras import ops

from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._symmetric import eigen_positive
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class AlignedMTL(GramWeighting):
    """Independent component alignment (Senushkin et al. 2023, algorithm 1).

    Gradients are replaced by the nearest orthogonal ones, all of the length of the least principal
    component: with `G = V Λ Vᵀ`, `w = sqrt(λ_min) V Λ^(-1/2) Vᵀ 1`, λ_min the least eigenvalue that is not 0.
    The system of gradients then has condition number 1. Needs the Gram matrix. It helps when gradients both
    conflict and differ in size; it hurts when two are nearly parallel, for the step is as short as what tells
    them apart. Weights may be negative.

    An eigenvalue `vᵀG v` counts as 0 below 1e-5 of `Σ v_k² G_kk`, what it would be without correlations: a
    test that, unlike one against the greatest eigenvalue, keeps tasks of small gradients.

    Example:
        >>> import numpy as np
        >>> from mtl_models import AlignedMTL, Task
        >>> weighting = AlignedMTL()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.diag([1.0, 4.0]).astype("float32")
        >>> [round(float(w), 4) for w in weighting(np.ones(2, "float32"), gram)]
        [1.0, 0.5]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def balance(self, unit, losses, training):
        return _weights(unit)


def aligned_weights(gram):
    """Weights [T] of `AlignedMTL` from a finite Gram matrix [T, T]; 0 for tasks without a gradient."""
    return _weights(unit_gram(gram))


def _weights(unit: UnitGram):
    norms = ops.where(unit.active, unit.norms, 0.0)
    gram = ops.expand_dims(norms, 1) * unit.cosines * ops.expand_dims(norms, 0)
    values, vectors = eigen_positive(gram)
    uncorrelated = ops.sum(ops.square(vectors * ops.expand_dims(norms, 1)), axis=0)
    kept = ops.logical_and(values > 1e-5 * uncorrelated, values > 0)
    least = ops.min(ops.where(kept, values, 1e30))
    ratio = ops.sqrt(ops.where(kept, least / ops.where(kept, values, 1.0), 0.0))
    along = ops.sum(vectors * ops.expand_dims(ops.cast(unit.active, "float32"), 1), axis=0)
    return ops.where(unit.active, ops.matmul(vectors, ratio * along), 0.0)
