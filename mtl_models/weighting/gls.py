import keras
from keras import ops

from mtl_models.weighting._base import Weighting


@keras.saving.register_keras_serializable("mtl_models")
class GLS(Weighting):
    """Geometric loss strategy (Chennupati et al. 2019): descends the geometric mean of the losses.

    `K (Π_k L_k)^(1/K)` over the K tasks of the batch has the gradient `Σ_k w_k ∇L_k` with
    `w_k = (Π_i L_i)^(1/K) / L_k`, so that no unit of a loss matters. Needs only losses, above 0: a task whose
    loss is not is left out of the mean and weighs 1. It helps when scales differ and tasks fall alike; it
    hurts where a rare task's tiny loss earns it a large weight, or a loss approaches 0.

    Example:
        >>> import numpy as np
        >>> from mtl_models import GLS, Task
        >>> weighting = GLS()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> [round(float(w), 4) for w in weighting(np.array([0.5, 8.0], "float32"))]  # sqrt(4) / L
        [4.0, 0.25]
    """

    needs_positive_losses = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def weigh(self, losses, gram, present, training):
        positive = losses > 0
        logs = ops.log(ops.where(positive, losses, 1.0))
        mean = ops.sum(logs) / ops.maximum(ops.sum(ops.cast(positive, "float32")), 1.0)
        # of losses within 1e±17 of their mean nothing is cut; beyond, the product of two would overflow
        return ops.where(positive, ops.exp(ops.clip(mean - logs, -40.0, 40.0)), 1.0)
