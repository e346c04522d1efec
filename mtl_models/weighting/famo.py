import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._base import Weighting

_LEAST = 1e-8
_DECAYS = (0.9, 0.999)


@keras.saving.register_keras_serializable("mtl_models")
class FAMO(Weighting):
    """Fast adaptive multitask optimization (Liu, Feng, Stone & Liu 2023, algorithm 1).

    With logits ξ and `z = softmax(ξ)` over the K tasks of the batch, `w_k = K (z_k / ℓ_k) / Σ_i (z_i / ℓ_i)`,
    `ℓ_k = max(L_k, 0) + 1e-8`: descent of `Σ z_k log ℓ_k` (the factor K makes equal tasks weigh 1).
    After each step ξ takes one of Adam against `(∂z/∂ξ)ᵀ (log ℓ - log ℓ_after)` with the L2 decay γ,
    so that all losses come to fall by the same share. Needs losses before and after each step: one more
    forward pass, no gradients of tasks. It helps where one task is left behind; it hurts where a loss cannot
    fall by the share the others do, such as one near its noise floor.

    Args:
        learning_rate: of the logits' Adam.
        decay: γ, how strongly logits are drawn back to 0.

    Example:
        >>> import numpy as np
        >>> from mtl_models import FAMO, Task
        >>> weighting = FAMO(learning_rate=0.1)
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> before = np.array([1.0, 1.0], "float32")
        >>> [round(float(w), 4) for w in weighting(before, training=True)]
        [1.0, 1.0]
        >>> weighting.observe(before, np.array([0.9, 0.5], "float32"))  # watch fell by the greater share
        >>> [round(float(w), 4) for w in weighting(before, training=True)]  # softmax(0.1, -0.1)
        [1.0997, 0.9003]
    """

    needs_positive_losses = True
    needs_losses_after = True
    BOUNDS = {"learning_rate": (0.0, 10.0), "decay": (0.0, 1.0)}

    def __init__(self, learning_rate: float = 0.025, decay: float = 0.001, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = learning_rate
        self.decay = decay
        check_bounds(self)

    def build(self, input_shape=None):
        self.logits = self.add_state("logits")
        self.first_moment = self.add_state("first_moment")
        self.second_moment = self.add_state("second_moment")
        self.steps = self.add_state("steps")
        self.seen = self.add_state("seen")
        self.built = True

    def weigh(self, losses, gram, present, training):
        if training:
            self.seen.assign(ops.cast(present, "float32"))
        logs = ops.log_softmax(ops.where(present, ops.convert_to_tensor(self.logits), -1e9))
        weights = ops.softmax(ops.where(present, logs - ops.log(_shifted(losses)), -1e9))
        return weights * ops.sum(ops.cast(present, "float32"))

    def observe(self, losses_before, losses_after) -> None:
        """Moves the logits of the tasks that the last training batch had."""
        before, after = (ops.cast(x, "float32") for x in (losses_before, losses_after))
        logits, mean, square, steps = (
            ops.convert_to_tensor(v) for v in (self.logits, self.first_moment, self.second_moment, self.steps)
        )
        seen = ops.convert_to_tensor(self.seen) > 0
        finite = ops.logical_and(ops.isfinite(before), ops.isfinite(after))
        here = ops.logical_and(seen, finite)
        before, after = ops.where(here, before, 1.0), ops.where(here, after, 1.0)
        fall = ops.log(_shifted(before)) - ops.log(_shifted(after))
        shares = ops.softmax(ops.where(here, logits, -1e9))
        gradient = shares * (fall - ops.sum(shares * fall)) + self.decay * logits
        gradient = ops.where(here, gradient, 0.0)

        # Adam with a count of steps for each task, so that an absent task's averages stay as they are
        first, second = _DECAYS
        steps = steps + ops.cast(here, "float32")
        mean = ops.where(here, first * mean + (1 - first) * gradient, mean)
        square = ops.where(here, second * square + (1 - second) * ops.square(gradient), square)
        taken = ops.maximum(steps, 1.0)
        unbiased = mean / (1 - ops.power(first, taken))
        spread = ops.sqrt(square / (1 - ops.power(second, taken)))
        moved = logits - self.learning_rate * unbiased / (spread + _LEAST)
        self.logits.assign(ops.where(here, moved, logits))
        self.first_moment.assign(mean)
        self.second_moment.assign(square)
        self.steps.assign(steps)

    def get_config(self) -> dict:
        return {**super().get_config(), "learning_rate": self.learning_rate, "decay": self.decay}


def _shifted(losses):
    return ops.maximum(losses, 0.0) + _LEAST
