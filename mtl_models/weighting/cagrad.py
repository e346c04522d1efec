import keras
import numpy as np
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._solvers import nonnegative_quadratic, solve_positive
from mtl_models.weighting._unit_gram import UnitGram, unit_gram

_FEW = 8  # tasks, of which every set is tried
_RIDGE = 1e-5


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
    inverse = ops.where(unit.active, 1.0 / unit.norms, 0.0)
    inverse = inverse / ops.maximum(ops.max(inverse), 1e-30)
    find = _of_every_set if unit.cosines.shape[0] <= _FEW else _of_two_levels
    y = _best(unit, towards, find(unit, towards, inverse, c), c)
    return ops.where(unit.active, 1.0 + length * y / unit.norms, 0.0)


# What is looked for is y ≥ 0, of a step `(g₀ / ‖g₀‖ + Σ y_k u_k) ‖g₀‖` with `‖Σ y_k u_k‖ ≤ c`, u the unit
# gradients, whose least product `n_k (towards + C y)_k` with a gradient is greatest. At the best y some tasks
# have that product, and the others have y = 0.


def _of_every_set(unit: UnitGram, towards, inverse, c: float):
    """Candidates [S, T]: for each set of tasks the y with which all of them have the same product.

    `C y + towards = ν / n` over the set gives y as a linear function of ν, and `yᵀC y = c²` the two ν, of
    which the greater is best. Where the gradients' hull holds 0 and c is 1 or more, no product is above 0:
    then ν is 0.
    """
    size = unit.cosines.shape[0]
    members = np.array([[s >> k & 1 for k in range(size)] for s in range(1, 2**size)], "float32")
    both, identity = members[:, :, None] * members[:, None, :], np.eye(size, dtype="float32")
    cosines = both * unit.cosines + (1.0 - members)[:, :, None] * identity
    sides = ops.stack([members * inverse, members * towards], axis=-1)
    ridged = solve_positive(cosines + _RIDGE * identity, np.broadcast_to(identity, both.shape))
    found = _times(ridged, sides)
    for _ in range(2):  # without the ridge
        found = found + _times(ridged, sides - _times(cosines, found))
    along, alone = ops.unstack(found, 2, axis=-1)
    a, b = ops.sum(inverse * along, axis=1), ops.sum(inverse * alone, axis=1)
    root = ops.sqrt(ops.maximum(b * b - a * (ops.sum(towards * alone, axis=1) - c * c), 0.0))
    level = ops.expand_dims((b + root) / ops.maximum(a, 1e-30), 1)
    greatest = level * along - alone
    return ops.concatenate([greatest, -alone]) if c >= 1 else greatest


def _times(a, b):
    """`a @ b`; of matrices so small a loop that XLA fuses takes a tenth of its matmuls' time."""
    return ops.sum(ops.expand_dims(a, -1) * ops.expand_dims(b, -3), axis=-2)


def _of_two_levels(unit: UnitGram, towards, inverse, c: float, iterations: int = 8):
    """Candidates [2, T] where sets are too many: the least y with which all products are ν or more, at the ν
    where `‖Σ y_k u_k‖` is c, and at 0.

    That norm is a convex function of ν: from a ν that is too great, Newton's steps come down to it.
    """

    def least(level):
        linear = ops.where(unit.active, ops.minimum(towards - level * inverse, 100.0), 1.0)
        return nonnegative_quadratic(unit.cosines, linear)

    def step(_, level):
        y = least(level)
        # with the ridge of `least`, by which y is bounded where no y is enough
        norm = ops.sqrt(ops.maximum(ops.sum(y * (ops.matmul(unit.cosines, y) + 1e-5 * y)), 1e-20))
        return level - (norm - c) * norm / ops.maximum(ops.sum(y * inverse), 1e-20)

    greatest = ops.where(unit.active, (towards + c) / ops.maximum(inverse, 1e-30), 1e30)
    level = ops.fori_loop(0, iterations, step, ops.minimum(ops.min(greatest), 1e30))
    return ops.stack([least(level), least(0.0)])


def _best(unit: UnitGram, towards, candidates, c: float):
    """Of candidates [S, T], made feasible, the one whose least product is greatest; of like ones the least."""
    y = ops.where(unit.active, ops.maximum(candidates, 0.0), 0.0)
    norms = ops.sqrt(ops.maximum(ops.sum(y * ops.matmul(y, unit.cosines), axis=1, keepdims=True), 1e-30))
    y = y * ops.minimum(c / norms, 1.0)
    products = unit.norms * (ops.matmul(y, unit.cosines) + towards)
    least = ops.min(ops.where(unit.active, products, 1e30), axis=1)
    smallest = ops.min(ops.where(unit.active, unit.norms, 1.0))
    greatest = ops.max(least)
    alike = least >= greatest - 2e-6 * (ops.abs(greatest) + (1.0 + c) * smallest)
    sizes = ops.where(alike, ops.sum(y * y, axis=1), 1e30)
    return ops.take(y, ops.argmin(sizes), axis=0)
