"""How large the tasks' gradients are, and whether they point the same way."""

import itertools

import numpy as np


def gradient_statistics(model, x: dict, y: dict, sample_weight: dict | None, rows: int) -> dict[str, dict]:
    """Of a compiled `MultiTaskModel`, over at most `rows` rows spread evenly over the data.

    Measured without dropout, with respect to what the model's `gram_over` names, on batches of 1,024 rows.

    Returns:
        `norms` {task: root of the mean over batches of ‖∇ c_k L_k‖²} and `cosines` {"a and b": mean over
        batches of the cosine between the gradients of tasks a and b} and `conflicts` {"a and b": share of
        the batches whose cosine is below 0}; None for a task without rows, or whose gradients overflow.
    """
    total = len(next(iter(x.values())))
    taken = np.unique(np.linspace(0, total - 1, min(rows, total)).astype(int))
    # interleaved, so that every batch spreads over the data as well
    batches = max(1, len(taken) // 1024)
    grams = []
    for first in range(batches):
        at = taken[first::batches]
        parts = [{k: np.asarray(v)[at] for k, v in part.items()} for part in (x, y, sample_weight or {})]
        grams.append(model.gradient_gram(*parts))
    grams = np.asarray(grams, np.float64)
    squares = np.diagonal(grams, axis1=1, axis2=2)
    names = [task.name for task in model.tasks]
    norms = np.sqrt(squares.mean(axis=0))  # not finite where a 16-bit gradient overflowed
    cosines, conflicts = {}, {}
    for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
        pair = squares[:, [i, j]]
        both = ((pair > 0) & np.isfinite(pair)).all(axis=1)
        values = grams[both, i, j] / np.sqrt(squares[both, i] * squares[both, j])
        cosines[f"{a} and {b}"] = float(values.mean()) if len(values) else None
        conflicts[f"{a} and {b}"] = float((values < 0).mean()) if len(values) else None
    return {
        "norms": {n: float(v) if 0 < v < np.inf else None for n, v in zip(names, norms)},
        "cosines": cosines,
        "conflicts": conflicts,
    }
