import keras
from keras import ops

from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._solvers import nonnegative_quadratic
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class MGDA(GramWeighting):
    """Multiple-gradient descent (Désidéri 2012; Sener & Koltun 2018, eq. 3): the least common descent step.

    `w = K α`, α the weights of the point of least norm in the convex hull of the K gradients,
    `min ‖Σ_k α_k g_k‖²` over `α ≥ 0, Σ α_k = 1`. Its product with every gradient is at least its squared
    norm, so no task is made worse by a small step. Needs the Gram matrix. It helps when no task may lose;
    it hurts when gradients differ in size, for the task of the smallest takes nearly all the weight.

    The problem is solved exactly, not by the paper's Frank-Wolfe steps: α is proportional to the v of
    `min_{v ≥ 0} ½ vᵀG v - Σ v_k`. Where 0 lies in the hull (a Pareto-stationary point) α is one of several.

    Example:
        >>> import numpy as np
        >>> from mtl_models import MGDA, Task
        >>> weighting = MGDA()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.diag([1.0, 4.0]).astype("float32")
        >>> [round(float(w), 4) for w in weighting(np.ones(2, "float32"), gram)]  # 2 (4, 1) / (4 + 1)
        [1.6, 0.4]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def balance(self, unit, losses, training):
        return _weights(unit)


def mgda_weights(gram):
    """Weights [T] of `MGDA` from a finite Gram matrix [T, T]; 0 for tasks without a gradient."""
    return _weights(unit_gram(gram))


def _weights(unit: UnitGram):
    inverse = ops.where(unit.active, 1.0 / unit.norms, 0.0)
    inverse = inverse / ops.maximum(ops.max(inverse), 1e-30)
    y = nonnegative_quadratic(unit.cosines, ops.where(unit.active, -inverse, 1.0))
    y = ops.where(unit.active, y, 0.0) * inverse
    return unit.count * y / ops.maximum(ops.sum(y), 1e-30)
