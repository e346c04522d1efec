import keras
from keras import ops

from mtl_models.architectures.single_task import SingleTask
from mtl_models.replicas import replicas, sum_over_replicas


@keras.saving.register_keras_serializable("mtl_models")
class SoftSharing(SingleTask):
    """Distance-tied perceptrons (Duong et al. 2015, section 3): each task its own, held near the others.

    Task `k` receives `f(x; θ_k)`, and the total loss gains the squared L2 distance of every pair of tasks,
    `λ Σ_{j<k} ‖θ_j − θ_k‖²`, over kernels and biases. A task whose weights in the batch are all 0 is in no
    pair. `λ = 0` is `SingleTask`; a large λ makes all perceptrons one, as in `HardSharing`. Use it for few,
    related tasks of which some have little data.

    Args:
        units: width of each layer of a task's perceptron.
        dropout: share of each layer's outputs that training sets to 0.
        strength: λ of the squared distance between tasks.

    Input: [B, D]. Output: [B, T, units[-1]].

    Raises:
        ValueError: if a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import SoftSharing, Task
        >>> layer = SoftSharing(units=(8,), strength=0.01)
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> features = layer(np.ones((3, 5), "float32"))
        >>> ones = np.ones(3, "float32")
        >>> float(layer.penalty(features, [ones, ones], [ones, ones], [ones, ones])) > 0
        True
        >>> float(layer.penalty(features, [ones, ones], [ones, ones], [ones, 0 * ones]))
        0.0
    """

    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99), "strength": (0.0, None)}

    def __init__(
        self, units: tuple[int, ...] = (128, 64), dropout: float = 0.0, strength: float = 0.001, **kwargs
    ):
        self.strength = strength
        super().__init__(units, dropout, **kwargs)

    def penalty(self, features, outputs, labels, weights):
        sums = sum_over_replicas(ops.stack([ops.sum(weight) for weight in weights]))
        present = ops.cast(sums > 0, "float32")
        count = ops.sum(present)
        distance = 0.0
        for variable in self.stack.trainable_variables:
            by_task = ops.reshape(ops.cast(variable, "float32"), (len(self.tasks), -1))
            mean = ops.sum(by_task * present[:, None], axis=0) / ops.maximum(count, 1.0)
            # Σ_{j<k} ‖θ_j − θ_k‖² = n Σ_k ‖θ_k − mean‖², without a tensor of pairs
            distance += count * ops.sum(present[:, None] * ops.square(by_task - mean))
        return self.strength * distance / replicas()

    def get_config(self) -> dict:
        return {**super().get_config(), "strength": self.strength}
