import keras
from keras import ops

from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._symmetric import eigen_positive
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class IMTL(GramWeighting):
    """Impartial multi-task learning, its gradient balance IMTL-G (Liu et al. 2021).

    The step whose component along every unit gradient is the same: `(Σ_j α_j g_j) · g_k / ‖g_k‖` equal
    for all k, which is `α_k = (C⁻¹ 1)_k / ‖g_k‖` for the matrix C of cosines, and `w = K α / Σ |α|`. Needs
    the Gram matrix. It helps when gradients differ in size; it hurts when some are nearly parallel or more
    than two conflict: weights may then be negative.

    The paper scales α to the sum 1, which turns the step uphill for every task where that sum is negative;
    by the sum of magnitudes it is the same step where all α are positive, and bounded in all cases. Dependent
    gradients take the pseudoinverse of C, and those that cancel (g and -g) weigh 0: no step has the same
    component along both. The paper's loss balance IMTL-L, `e^s L - s`, is `uncertainty`'s
    form for classification up to a factor, and a scale that IMTL-G takes out again.

    Example:
        >>> import numpy as np
        >>> from mtl_models import IMTL, Task
        >>> weighting = IMTL()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.array([[1.0, 0.6], [0.6, 9.0]], "float32")
        >>> [round(float(w), 4) for w in weighting(np.ones(2, "float32"), gram)]  # as 1 / ‖g_k‖
        [1.5, 0.5]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def balance(self, unit, losses, training):
        return _weights(unit)


def imtl_weights(gram):
    """Weights [T] of `IMTL` from a finite Gram matrix [T, T]; 0 for tasks without a gradient."""
    return _weights(unit_gram(gram))


def _weights(unit: UnitGram):
    values, vectors = eigen_positive(unit.cosines)
    active = ops.cast(unit.active, "float32")
    along = ops.matmul(ops.transpose(vectors), active)
    # of gradients that cancel only rounding is left of α, of which the scale would make a step anywhere
    kept = ops.logical_and(values > 1e-5, ops.abs(along) > 1e-5)
    inverse = ops.where(kept, along / ops.where(kept, values, 1.0), 0.0)
    alpha = ops.where(unit.active, ops.matmul(vectors, inverse) / unit.norms, 0.0)
    return unit.count * alpha / ops.maximum(ops.sum(ops.abs(alpha)), 1e-30)
