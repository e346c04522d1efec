import keras
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.architectures._chain import chain_indices, sampling_shift, weight_in_all_data
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts
from mtl_models.layers.information_transfer import InformationTransfer
from mtl_models.losses.weighted_mean import weighted_mean
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class AITM(Architecture):
    """Adaptive information transfer (Xi et al. 2021): tasks in sequence, each told what the one before knows.

    Every task has a perceptron `p_k = f_k(x)`. The first task of the chain receives `p_1`, each later one
    `z_k = AIT(p_k, z_{k-1})` (see `InformationTransfer`), a task outside of it its own `p`. As a later
    step cannot be likelier than the one before, the behavioral expectation calibrator adds
    `α Σ_k mean(max(ŷ_k − ŷ_{k−1}, 0))` to the total loss, over the rows where both tasks are known and with
    the later task's weights. Use it where events follow one another (click, cart, purchase) and the later
    ones are rare.

    Args:
        chain: binary tasks in the order in which they happen; empty: all tasks in their order.
        units: width of each layer of a task's perceptron.
        dropout: share of each layer's outputs that training sets to 0.
        calibrator_weight: α of the behavioral expectation calibrator.

    Input: [B, D]. Output: [B, T, units[-1]]. Each later task of the chain has a gate of its name, over
    what it takes from itself and from the task before.

    Raises:
        ValueError: from `bind`, where the chain does not fit the tasks; if a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import AITM, Task
        >>> layer = AITM(chain=("click", "purchase"), units=(8,))
        >>> layer.bind([Task("click", "binary"), Task("purchase", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 8)
        >>> layer.gate_experts()
        {'purchase': ['purchase', 'click']}
    """

    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99), "calibrator_weight": (0.0, None)}

    def __init__(
        self,
        chain: tuple[str, ...] = (),
        units: tuple[int, ...] = (128, 64),
        dropout: float = 0.0,
        calibrator_weight: float = 0.6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.chain = tuple(chain)
        self.units = tuple(units)
        self.dropout = dropout
        self.calibrator_weight = calibrator_weight
        check_bounds(self)

    def bind(self, tasks, seed):
        super().bind(tasks, seed)
        self.order = chain_indices("AITM", self.chain, tasks)

    def build(self, input_shape):
        self.stack = Experts(
            len(self.tasks),
            self.units,
            self.dropout,
            seed=derive_seed(self.seed, "tasks"),
            name="tasks",
            dtype=self.dtype_policy,
        )
        self.stack.build(input_shape)
        self.transfers = []
        shape = (None, self.units[-1] if self.units else input_shape[-1])
        for i in self.order[1:]:
            transfer = InformationTransfer(
                seed=derive_seed(self.seed, "transfer", i),
                name=f"transfer_{i}",
                dtype=self.dtype_policy,
            )
            transfer.build(shape, shape)
            self.transfers.append(transfer)
        self.built = True

    def separate(self, z, rest, training=None):
        features = ops.unstack(self.stack(z, training=training), axis=1)
        gates = {}
        for (earlier, later), transfer in zip(self._steps(), self.transfers):
            features[later], weights = transfer(features[later], features[earlier])
            gates[self.task_names[later]] = weights
        return ops.stack(features, axis=1), gates

    def penalty(self, features, outputs, labels, weights):
        probabilities = [
            ops.sigmoid(output + sampling_shift(task)) if i in self.order else None
            for i, (task, output) in enumerate(zip(self.tasks, outputs))
        ]
        total = 0.0
        for earlier, later in self._steps():
            excess = ops.relu(probabilities[later] - probabilities[earlier])
            weight = weight_in_all_data(self.tasks[later], labels[later], weights[later])
            both_known = ops.where(weights[earlier] > 0, weight, ops.zeros_like(weight))
            total += weighted_mean(excess, both_known)
        return self.calibrator_weight * total

    def _steps(self) -> list[tuple[int, int]]:
        return list(zip(self.order, self.order[1:]))

    def gate_experts(self) -> dict[str, list[str]]:
        names = self.task_names
        return {names[later]: [names[later], names[earlier]] for earlier, later in self._steps()}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "chain": self.chain,
            "units": self.units,
            "dropout": self.dropout,
            "calibrator_weight": self.calibrator_weight,
        }
