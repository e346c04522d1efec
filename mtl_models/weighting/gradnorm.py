import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._gram import GramWeighting


@keras.saving.register_keras_serializable("mtl_models")
class GradNorm(GramWeighting):
    """Gradient normalization (Chen, Badrinarayanan, Lee & Rabinovich 2018, eq. 2, algorithm 1).

    Weights are learned so that weighted gradient norms `w_k n_k`, `n_k = sqrt(G_kk)`, come to
    `N̄ r_k^α`: N̄ their mean over the K tasks of the batch, `r_k` the task's loss relative to its first one,
    divided by the mean of that over the tasks. A step goes against the gradient of `Σ_k |w_k n_k - N̄ r_k^α|`
    with targets held constant; then weights are scaled back to the sum K. Needs the Gram matrix's diagonal
    and losses, and keeps the weights and first losses. It helps when gradients differ in size and tasks
    learn at different speeds; it hurts when the first batch's losses are not typical.

    Steps are taken in `log w`, and in units of N̄, where the paper takes them in w: so weights stay positive
    and losses' units do not matter. A weight changes by at most the factor e^(0.5) a step.

    Args:
        alpha: α, how strongly tasks that learn slowly are favoured; 0 equalizes gradient norms.
        learning_rate: of the weights.

    Example:
        >>> import numpy as np
        >>> from mtl_models import GradNorm, Task
        >>> weighting = GradNorm(alpha=0.0, learning_rate=0.01)
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.diag([1.0, 9.0]).astype("float32")
        >>> for _ in range(300):
        ...     weights = weighting(np.ones(2, "float32"), gram, training=True)
        >>> [round(float(w), 1) for w in weights]  # as 1 / ‖g_k‖
        [1.5, 0.5]
    """

    # its weights are those of a loss, positive and of all that a task learns by
    only_shared = False
    needs_positive_losses = True
    BOUNDS = {"alpha": (0.0, 10.0), "learning_rate": (0.0, 1.0)}

    def __init__(self, alpha: float = 1.5, learning_rate: float = 0.025, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.learning_rate = learning_rate
        check_bounds(self)

    def build(self, input_shape=None):
        self.log_weights = self.add_state("log_weights")
        self.first_losses = self.add_state("first_losses")
        self.built = True

    def balance(self, unit, losses, training):
        active = unit.active
        kept = ops.convert_to_tensor(self.log_weights)
        logs = _scaled(kept, active, unit.count)
        if training:
            first = ops.convert_to_tensor(self.first_losses)
            unset = ops.logical_and(active, ops.logical_and(first == 0, losses > 0))
            first = ops.where(unset, losses, first)
            moved = self._moved(logs, unit, losses, first)
            # what is kept of present tasks keeps its sum, so that absent ones keep their share
            offset = _log_sum(kept, active) - _log_sum(moved, active)
            self.log_weights.assign(ops.where(active, moved + offset, kept))
            self.first_losses.assign(first)
        return ops.exp(logs)

    def _moved(self, logs, unit, losses, first):
        here = ops.cast(unit.active, "float32")
        weighted = here * ops.exp(logs) * unit.norms
        mean = ops.maximum(ops.sum(weighted) / unit.count, 1e-30)
        ratio = ops.where(first > 0, ops.maximum(losses, 0.0) / ops.where(first > 0, first, 1.0), 1.0)
        ratio = ratio / ops.maximum(ops.sum(here * ratio) / unit.count, 1e-30)
        excess = weighted / mean - ops.power(ratio, self.alpha)
        return logs - ops.minimum(self.learning_rate * weighted / mean, 0.5) * ops.sign(excess)

    def get_config(self) -> dict:
        return {**super().get_config(), "alpha": self.alpha, "learning_rate": self.learning_rate}


def _log_sum(logs, active):
    return ops.logsumexp(ops.where(active, logs, -1e9))


def _scaled(logs, active, count):
    """Logs of weights whose sum over the tasks in the batch is their number."""
    return ops.where(active, logs - _log_sum(logs, active) + ops.log(count), 0.0)
