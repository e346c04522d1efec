import keras
from keras import ops

from mtl_models.weighting._base import Weighting


@keras.saving.register_keras_serializable("mtl_models")
class Equal(Weighting):
    """Every task weighs 1, so that only the tasks' own `loss_weight` tells them apart.

    `w_k = 1`: the unweighted sum of losses (Caruana 1997). Needs nothing. The baseline to beat: Kurin et al.
    ("In defense of the unitary scalarization", 2022) find that well-regularized it often is not beaten; it
    hurts where losses differ by orders of magnitude and nobody sets `loss_weight`.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Equal, Task
        >>> weighting = Equal()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> np.asarray(weighting(np.array([0.7, 20.0], "float32"))).tolist()
        [1.0, 1.0]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def weigh(self, losses, gram, present, training):
        return ops.ones_like(losses)
