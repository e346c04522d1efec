"""Small dense problems in `keras.ops`: fixed iteration counts, no branch on values, any number at once."""

import numpy as np
from keras import ops

_RIDGE = 1e-5


def solve_positive(matrix, rhs):
    """Solves `A x = b` for symmetric positive definite A by elimination; it never raises.

    No row exchanges are needed for such matrices. A pivot that rounding has made smaller than 1e-12 is
    taken for 1e-12, where a library's Cholesky would raise or return NaN.

    Args:
        matrix: A, [..., T, T].
        rhs: b, [..., T]; or several, [..., T, N].

    Returns:
        x, of the shape of b.
    """
    several = len(rhs.shape) == len(matrix.shape)
    table = ops.concatenate([matrix, rhs if several else ops.expand_dims(rhs, -1)], axis=-1)
    size = matrix.shape[-1]
    identity = np.eye(size, dtype=bool)
    for k in range(size):
        row = table[..., k : k + 1, :]
        row = row / ops.maximum(row[..., k : k + 1], 1e-12)
        table = ops.where(identity[:, k : k + 1], row, table - table[..., :, k : k + 1] * row)
    return table[..., size:] if several else table[..., size]


def nonnegative_quadratic(matrix, linear, iterations: int = 20, refinements: int = 2):
    """`argmin_{y ≥ 0} ½ yᵀC y + qᵀy`, by a primal-dual interior-point method.

    Newton steps on `(C + δI) y + q = z, y_i z_i = μ` with μ a tenth of its present mean, each to at most
    0.99 of the way to the boundary; then the equations of the positive y alone, refined without δ = 1e-5,
    where that lessens the violation of `C y + q ≥ 0`. With the ridge δ the solution exists and is bounded
    for any C, a singular one (dependent gradients) included. Steps are found in variables scaled by
    `sqrt(y_i / z_i)`, in which the matrix is the identity plus a positive semidefinite one. For 16 tasks
    with C of condition 1e4, 20 steps in float32 reach the solution to 1e-6.

    Args:
        matrix: C, [T, T], symmetric positive semidefinite, ones on the diagonal.
        linear: q, [..., T], of magnitude about 1.
        iterations: Newton steps.
        refinements: solutions of the equations of the positive y.

    Returns:
        y, [..., T].
    """
    identity = ops.eye(matrix.shape[-1])
    ridged = matrix + _RIDGE * identity
    y = ops.ones_like(linear)
    z = ops.maximum(ops.matmul(y, ridged) + linear, 1.0)

    def step(_, state):
        y, z = state
        target = ops.maximum(0.1 * ops.mean(y * z, axis=-1, keepdims=True), 1e-14)
        residual = target / y - (ops.matmul(y, ridged) + linear)
        scale = ops.sqrt(y / z)
        scaled = ops.expand_dims(scale, -1) * ridged * ops.expand_dims(scale, -2) + identity
        dy = scale * solve_positive(scaled, scale * residual)
        dz = target / y - z - z / y * dy
        fall = ops.maximum(ops.max(-dy / y, axis=-1), ops.max(-dz / z, axis=-1))
        length = ops.expand_dims(ops.minimum(1.0, 0.99 / ops.maximum(fall, 1e-30)), -1)
        return ops.maximum(y + length * dy, 1e-20), ops.maximum(z + length * dz, 1e-20)

    y, z = ops.fori_loop(0, iterations, step, (y, z))
    free = ops.cast(y > z, y.dtype)
    among = ops.expand_dims(free, -1) * ridged * ops.expand_dims(free, -2)
    among = among + ops.expand_dims(1.0 - free, -1) * identity

    def refine(_, y):
        return y - solve_positive(among, free * (ops.matmul(y, matrix) + linear))

    refined = ops.fori_loop(0, refinements, refine, free * y)
    refined = ops.maximum(refined, 0.0)
    better = ops.min(ops.matmul(refined, matrix) + linear, axis=-1, keepdims=True) > ops.minimum(
        ops.min(ops.matmul(y, matrix) + linear, axis=-1, keepdims=True), -1e-6
    )
    return ops.where(better, refined, y)
