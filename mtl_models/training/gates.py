"""What gates do over a set of rows."""

import numpy as np
from keras import ops


def gate_statistics(model, inputs: dict, batch_size: int = 8192) -> dict[str, dict]:
    """How a `MultiTaskModel`'s gates use their experts over a dict of input arrays.

    Returns:
        For each gate: `mean` {expert: mean weight}, `load` {expert: share of the rows in which it has the
        largest weight}, and `entropy`, the mean over rows of `-Σ w log w / log E`: 1 where a gate weighs its
        E experts alike, 0 where each row has one expert (1 of a single expert). No gates or rows: {}.
    """
    experts = model.architecture.gate_experts()
    rows = len(next(iter(inputs.values())))
    if not experts or not rows:
        return {}
    sums = {gate: np.zeros((2, len(names))) for gate, names in experts.items()}
    entropies = dict.fromkeys(experts, 0.0)
    for start in range(0, rows, batch_size):
        packed = model.layout.pack({k: v[start : start + batch_size] for k, v in inputs.items()})
        for gate, found in model.architecture.gate_weights(model.feature_inputs(packed)).items():
            weights = ops.convert_to_numpy(ops.cast(found, "float32")).astype(np.float64)
            count = weights.shape[1]
            sums[gate][0] += weights.sum(axis=0)
            sums[gate][1] += np.bincount(weights.argmax(axis=1), minlength=count)
            surprise = np.where(weights > 0, -np.log(np.where(weights > 0, weights, 1.0)), 0.0)
            entropies[gate] += (weights * surprise).sum() / np.log(count) if count > 1 else len(weights)
    return {
        gate: {
            "mean": dict(zip(names, (sums[gate][0] / rows).tolist())),
            "load": dict(zip(names, (sums[gate][1] / rows).tolist())),
            "entropy": float(entropies[gate] / rows),
        }
        for gate, names in experts.items()
    }
