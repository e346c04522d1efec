import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._base import Weighting


@keras.saving.register_keras_serializable("mtl_models")
class STCH(Weighting):
    """Smooth Tchebycheff scalarization (Lin et al. 2024): a smooth maximum of relative losses.

    `K H μ log Σ_k exp(λ_k L_k / μ)` has the gradient `Σ_k w_k ∇L_k`, `w_k = K H λ_k softmax(λ L / μ)_k`, over
    the K tasks of the batch; the ideal point is 0. `λ_k = 1 / N_k` makes losses comparable: `N_k` is the mean
    loss of the first epoch that has the task, and within that epoch the mean so far. H, the harmonic mean of
    the N, keeps the size of a step. Needs losses, above 0, and `end_epoch()`. It helps when the worst task
    is what counts; it hurts when one task cannot improve and takes all the weight.

    Args:
        mu: μ, in units of first-epoch losses: less is closer to the maximum, more to equal weights `H / N_k`.

    Example:
        >>> import numpy as np
        >>> from mtl_models import STCH, Task
        >>> weighting = STCH(mu=0.5)
        >>> weighting.bind([Task("click", "binary"), Task("like", "binary")])
        >>> [round(float(w), 4) for w in weighting(np.array([0.8, 0.8], "float32"), training=True)]
        [1.0, 1.0]
        >>> weighting.end_epoch()
        >>> weights = weighting(np.array([0.8, 0.4], "float32"))
        >>> [round(float(w), 4) for w in weights]  # 2 softmax(1 / 0.5, 0.5 / 0.5)
        [1.4621, 0.5379]
    """

    needs_positive_losses = True
    BOUNDS = {"mu": (1e-4, 1e4)}

    def __init__(self, mu: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.mu = mu
        check_bounds(self)

    def build(self, input_shape=None):
        self.sums = self.add_state("sums")
        self.batches = self.add_state("batches")
        self.first_epoch = self.add_state("first_epoch", initializer="ones")
        self.built = True

    def weigh(self, losses, gram, present, training):
        if training:
            counted = ops.cast(present, "float32") * self.first_epoch
            self.sums.assign_add(counted * losses)
            self.batches.assign_add(counted)
        mean = ops.convert_to_tensor(self.sums) / ops.maximum(ops.convert_to_tensor(self.batches), 1.0)
        nadir = ops.where(mean > 0, mean, ops.where(losses > 0, losses, 1.0))
        return smooth_maximum_weights(losses, nadir, self.mu, present)

    def end_epoch(self) -> None:
        self.first_epoch.assign(
            ops.where(ops.convert_to_tensor(self.batches) > 0, 0.0, ops.convert_to_tensor(self.first_epoch))
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "mu": self.mu}


def smooth_maximum_weights(losses, nadir, mu: float, present):
    """`K H softmax(L / (N μ))_k / N_k` over the K present tasks; all but `mu` are [T]."""
    here = ops.cast(present, "float32")
    shares = ops.softmax(ops.where(present, losses / nadir / mu, -1e30))
    # relative to the least N, so that reciprocals neither overflow nor underflow
    least = ops.min(ops.where(present, nadir, 1e30))
    inverse = here * least / nadir
    count = ops.sum(here)
    return count * count * shares * inverse / ops.maximum(ops.sum(inverse), 1e-30)
