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
    use = GateUse(model.architecture.gate_experts())
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows if use.experts else 0, batch_size):
        packed = model.layout.pack({k: v[start : start + batch_size] for k, v in inputs.items()})
        use.add(model.architecture.gate_weights(model.feature_inputs(packed)))
    return use.statistics()


class GateUse:
    """Adds up what gates do, batch by batch; `experts`: gate → the names of those that it may use."""

    def __init__(self, experts: dict[str, list[str]]):
        self.experts = experts
        self._rows = 0
        self._sums = {gate: np.zeros((2, len(names))) for gate, names in experts.items()}
        self._entropies = dict.fromkeys(experts, 0.0)

    def add(self, found: dict) -> None:
        """A batch: gate → the weight it gives each expert, [B, experts]."""
        for gate, values in found.items():
            weights = ops.convert_to_numpy(ops.cast(values, "float32")).astype(np.float64)
            count = weights.shape[1]
            self._sums[gate][0] += weights.sum(axis=0)
            self._sums[gate][1] += np.bincount(weights.argmax(axis=1), minlength=count)
            surprise = np.where(weights > 0, -np.log(np.where(weights > 0, weights, 1.0)), 0.0)
            self._entropies[gate] += (weights * surprise).sum() / np.log(count) if count > 1 else len(weights)
        self._rows += len(weights) if found else 0

    def statistics(self) -> dict[str, dict]:
        """As `gate_statistics` returns them."""
        if not self._rows:
            return {}
        return {
            gate: {
                "mean": dict(zip(names, (self._sums[gate][0] / self._rows).tolist())),
                "load": dict(zip(names, (self._sums[gate][1] / self._rows).tolist())),
                "entropy": float(self._entropies[gate] / self._rows),
            }
            for gate, names in self.experts.items()
        }
