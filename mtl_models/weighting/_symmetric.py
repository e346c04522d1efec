"""Eigenvalues of small symmetric matrices by Jacobi rotations, in `keras.ops`."""

import numpy as np
from keras import ops


def eigen_positive(matrix, sweeps: int = 9):
    """`(eigenvalues [T], eigenvectors [T, T] as columns)` of a symmetric positive semidefinite matrix.

    For `D C D` with D diagonal and C well-conditioned, rotations find every eigenvalue to the relative
    precision of float32, however far D's entries lie apart (Demmel & Veselić, "Jacobi's method is more
    accurate than QR", 1992); a library's `eigh` loses those below 1e-7 of the greatest. The pairs of a
    round-robin tournament are rotated at once.

    Args:
        matrix: [T, T].
        sweeps: how often every pair is rotated.
    """
    size = matrix.shape[0]
    partners = _rounds(size)
    vectors = ops.eye(size)
    if not len(partners):
        return ops.diagonal(matrix), vectors
    swaps = ops.convert_to_tensor(np.eye(size, dtype="float32")[partners])
    first = ops.convert_to_tensor(np.where(partners > np.arange(size), 1.0, -1.0).astype("float32"))
    paired = ops.convert_to_tensor((partners != np.arange(size)).astype("float32"))

    def rotate(step, state):
        matrix, vectors = state
        number = step % len(partners)
        swap = ops.take(swaps, number, axis=0)
        own = ops.diagonal(matrix)
        other = ops.sum(swap * ops.expand_dims(own, 0), axis=1)
        cross = ops.sum(swap * matrix, axis=1) * ops.take(paired, number, axis=0)
        # tan of the angle, the smaller root of t² + 2 θ t - 1 = 0; of opposite signs for the two of a pair
        theta = (other - own) / (2.0 * ops.where(cross == 0, 1.0, cross))
        sign = ops.where(theta == 0, ops.take(first, number, axis=0), ops.sign(theta))
        theta = ops.minimum(ops.abs(theta), 1e18)
        tangent = sign / (theta + ops.sqrt(theta * theta + 1.0))
        tangent = ops.where(cross == 0, 0.0, tangent)
        # TensorFlow's rsqrt is approximate on CPU, and rotations would add its error up
        cosine = 1.0 / ops.sqrt(1.0 + tangent * tangent)
        rotation = ops.diag(cosine) + ops.expand_dims(tangent * cosine, 1) * swap
        matrix = ops.matmul(ops.transpose(rotation), ops.matmul(matrix, rotation))
        return 0.5 * (matrix + ops.transpose(matrix)), ops.matmul(vectors, rotation)

    matrix, vectors = ops.fori_loop(0, sweeps * len(partners), rotate, (matrix, vectors))
    return ops.maximum(ops.diagonal(matrix), 0.0), vectors


def _rounds(size: int) -> np.ndarray:
    """[rounds, T]: whom each plays in each round; one who plays nobody is their own partner."""
    players = list(range(size)) + [None] * (size % 2)
    rounds = []
    for _ in range(len(players) - 1 if size > 1 else 0):
        partner = list(range(size))
        for a, b in zip(players[: len(players) // 2], reversed(players[len(players) // 2 :])):
            if a is not None and b is not None:
                partner[a], partner[b] = b, a
        rounds.append(partner)
        players = [players[0], players[-1], *players[1:-1]]
    return np.array(rounds)
