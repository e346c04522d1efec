import keras
from keras import ops

from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._solvers import solve_positive
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class NashMTL(GramWeighting):
    """Nash bargaining between tasks (Navon et al. 2022, claim 3.1).

    The step `Σ α_k g_k` that maximizes `Σ_k log(g_k · d)` over d of bounded length has `G α = 1 / α`, α > 0;
    `w = K α / Σ α`. A task's weight is the inverse of the share it gains, so that losses' units do not
    matter: multiplying one loss changes the size of the step alone, not its direction. Needs the Gram matrix.
    It helps when gradients differ in size; it hurts where tasks cannot agree: α then grows along what
    cancels, and most of the step with it.

    α minimizes the self-concordant `½ αᵀG α - Σ log α_k`, found by damped Newton steps; the paper's sequence
    of convex programs, and the previous solution it starts from, are not needed. The paper's code also
    limits the length of the step to 1, which is left to the optimizer and `clip_norm` here.

    Example:
        >>> import numpy as np
        >>> from mtl_models import NashMTL, Task
        >>> weighting = NashMTL()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.diag([1.0, 9.0]).astype("float32")
        >>> [round(float(w), 4) for w in weighting(np.ones(2, "float32"), gram)]  # α = (1, 1/3)
        [1.5, 0.5]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def balance(self, unit, losses, training):
        return _weights(unit)


def nash_weights(gram):
    """Weights [T] of `NashMTL` from a finite Gram matrix [T, T]; 0 for tasks without a gradient."""
    return _weights(unit_gram(gram))


def _weights(unit: UnitGram, iterations: int = 30):
    # in y = n α the problem is that of the cosines: C y = 1 / y
    identity = ops.eye(unit.cosines.shape[0])
    cosines = unit.cosines + 1e-6 * identity
    ones = ops.ones_like(unit.norms)

    def step(_, y):
        scaled = ops.expand_dims(y, 1) * cosines * ops.expand_dims(y, 0)
        residual = 1.0 - ops.sum(scaled, axis=1)
        move = solve_positive(scaled + identity, residual)
        decrement = ops.sqrt(ops.maximum(ops.sum(move * residual), 0.0))
        return y * (1.0 + move * ops.where(decrement > 0.25, 1.0 / (1.0 + decrement), 1.0))

    y = ops.fori_loop(0, iterations, step, ones)
    alpha = ops.where(unit.active, y / unit.norms, 0.0)
    return unit.count * alpha / ops.maximum(ops.sum(alpha), 1e-30)
