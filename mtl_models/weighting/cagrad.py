import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._solvers import solve_positive
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class CAGrad(GramWeighting):
    """Conflict-averse gradient descent (Liu, Liu, Jin, Stone & Liu 2021, algorithm 1).

    Of the steps d within `c ‖g₀‖` of the mean gradient `g₀` it takes the one whose least `g_k · d` is
    greatest: `d = g₀ + c ‖g₀‖ g_α / ‖g_α‖`, `α = argmin g_α · g₀ + c ‖g₀‖ ‖g_α‖` over the simplex, with
    `g_α = Σ α_k g_k`. `w_k = 1 + K c (‖g₀‖ / ‖g_α‖) α_k` for K tasks: at c = 0 equal weights, and ever more
    like `mgda` as c grows. Needs the Gram matrix. It helps when one task is starved by the mean; it hurts
    when c is so great that the hardest task leads. A step grows to at most 1 + c times the mean's.

    Args:
        c: radius of the search, relative to the mean gradient.

    Example:
        >>> import numpy as np
        >>> from mtl_models import CAGrad, Task
        >>> weighting = CAGrad(c=0.5)
        >>> weighting.bind([Task("click", "binary"), Task("like", "binary")])
        >>> gram = np.array([[1.0, 0.2], [0.2, 1.0]], "float32")
        >>> [round(float(w), 4) for w in weighting(np.ones(2, "float32"), gram)]  # 1 + c, by symmetry
        [1.5, 1.5]
    """

    BOUNDS = {"c": (0.0, 10.0)}

    def __init__(self, c: float = 0.4, **kwargs):
        super().__init__(**kwargs)
        self.c = c
        check_bounds(self)

    def balance(self, unit, losses, training):
        return _weights(unit, self.c)

    def get_config(self) -> dict:
        return {**super().get_config(), "c": self.c}


def cagrad_weights(gram, c: float):
    """Weights [T] of `CAGrad` from a finite Gram matrix [T, T]; 0 for tasks without a gradient."""
    return _weights(unit_gram(gram), c)


def _weights(unit: UnitGram, c: float):
    norms = ops.where(unit.active, unit.norms, 0.0)
    sums = ops.matmul(unit.cosines, norms)
    length = ops.sqrt(ops.maximum(ops.sum(norms * sums), 0.0))  # of the sum of gradients, K ‖g₀‖
    towards = ops.clip(sums / ops.maximum(length, 1e-12), -1.0, 1.0)
    x = _leading(unit, towards, c)
    return ops.where(unit.active, 1.0 + c * length * x / unit.norms, 0.0)


def _leading(unit: UnitGram, towards, c: float, iterations: int = 25):
    """x ≥ 0 with `‖Σ x_k u_k‖ = 1` for which the least `(towards + c C x)_k n_k` is greatest.

    These are the optimality conditions of the maximin over d, with `ν` that least product and z what others
    exceed it by: `c C x + towards - ν / n = z ≥ 0`, `x z = 0`, `xᵀC x = 1`. Damped primal-dual Newton steps
    as in `nonnegative_quadratic`. In α's own variables, on a simplex, tasks of small gradients lose digits.
    """
    identity = ops.eye(unit.cosines.shape[0])
    cosines = unit.cosines + 2e-7 * identity  # a larger ridge shows where norms differ widely
    active = ops.cast(unit.active, "float32")
    inverse = active / unit.norms
    inverse = inverse / ops.maximum(ops.max(inverse), 1e-30)
    x = active * ops.rsqrt(ops.maximum(ops.sum(active * ops.matmul(cosines, active)), 1e-6)) + 1e-6
    reached = c * ops.matmul(cosines, x) + ops.where(unit.active, towards, 1.0)
    level = -2.0 - c * ops.sum(x)
    z = ops.maximum(reached - level * inverse, 0.1)

    def step(_, state):
        x, z, level = state
        target = ops.maximum(0.1 * ops.mean(x * z), 1e-14)
        image = ops.matmul(cosines, x)
        residual = target / x - (c * image + ops.where(unit.active, towards, 1.0) - level * inverse)
        scale = ops.sqrt(x / z)
        scaled = ops.expand_dims(scale, 1) * (c * cosines) * ops.expand_dims(scale, 0) + identity
        both = ops.stack([scale * residual, scale * inverse])
        alone, along = ops.unstack(scale * solve_positive(ops.stack([scaled, scaled]), both), 2)
        slope = ops.sum(image * along)
        missing = 0.5 * (1.0 - ops.sum(x * image)) - ops.sum(image * alone)
        dlevel = missing / ops.where(ops.abs(slope) > 1e-12, slope, 1e-12)
        dx = alone + dlevel * along
        dz = target / x - z - z / x * dx
        fall = ops.maximum(ops.max(-dx / x), ops.max(-dz / z))
        length = ops.minimum(1.0, 0.95 / ops.maximum(fall, 1e-30))
        return (
            ops.maximum(x + length * dx, 1e-20),
            ops.maximum(z + length * dz, 1e-20),
            level + length * dlevel,
        )

    x, _, _ = ops.fori_loop(0, iterations, step, (x, z, level))
    return x * active
