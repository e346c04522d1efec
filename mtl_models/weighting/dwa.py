import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._base import Weighting


@keras.saving.register_keras_serializable("mtl_models")
class DWA(Weighting):
    """Dynamic weight average (Liu, Johns & Davison 2019, eq. 7): tasks that learn slowly weigh more.

    With `L̄_k(t)` the mean loss of epoch t over the batches that have the task, `ρ_k = L̄_k(t-1) / L̄_k(t-2)`
    and `w_k = K exp(ρ_k / τ) / Σ_i exp(ρ_i / τ)`, over the K tasks of the batch. As in the paper `ρ_k = 1`
    until a task has two epochs behind it. Needs losses, and `end_epoch()`. It helps over many epochs, when
    one task lags; it does nothing in a training of one or two, and rewards a task whose loss rises because
    it overfits.

    Args:
        temperature: τ; greater is closer to equal weights.

    Example:
        >>> import numpy as np
        >>> from mtl_models import DWA, Task
        >>> weighting = DWA(temperature=1.0)
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> for losses in ([1.0, 1.0], [1.0, 0.5], [1.0, 0.4]):  # an epoch each
        ...     weights = weighting(np.array(losses, "float32"), training=True)
        ...     weighting.end_epoch()
        >>> [round(float(w), 4) for w in weights]  # 2 exp(1) / (exp(1) + exp(0.5))
        [1.2449, 0.7551]
    """

    needs_positive_losses = True
    BOUNDS = {"temperature": (0.01, 1000.0)}

    def __init__(self, temperature: float = 2.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature
        check_bounds(self)

    def build(self, input_shape=None):
        self.sums = self.add_state("sums")
        self.batches = self.add_state("batches")
        self.averages = self.add_state("averages", (2, len(self.tasks)))
        self.epochs = self.add_state("epochs")
        self.built = True

    def weigh(self, losses, gram, present, training):
        older, newer = ops.unstack(ops.convert_to_tensor(self.averages), 2)
        rates = ops.clip(newer / ops.where(older > 0, older, 1.0), 0.0, 1e30)
        known = ops.logical_and(ops.convert_to_tensor(self.epochs) >= 2, older > 0)
        rates = ops.where(known, rates, 1.0) / self.temperature
        weights = ops.softmax(ops.where(present, rates, -1e9))
        if training:
            here = ops.cast(present, "float32")
            self.sums.assign_add(losses)
            self.batches.assign_add(here)
        return weights * ops.sum(ops.cast(present, "float32"))

    def end_epoch(self) -> None:
        seen = ops.convert_to_tensor(self.batches) > 0
        newest = ops.convert_to_tensor(self.sums) / ops.maximum(ops.convert_to_tensor(self.batches), 1.0)
        previous = ops.convert_to_tensor(self.averages)
        self.averages.assign(ops.where(seen, ops.stack([previous[1], newest]), previous))
        self.epochs.assign_add(ops.cast(seen, "float32"))
        self.sums.assign(ops.zeros((len(self.tasks),)))
        self.batches.assign(ops.zeros((len(self.tasks),)))

    def get_config(self) -> dict:
        return {**super().get_config(), "temperature": self.temperature}
