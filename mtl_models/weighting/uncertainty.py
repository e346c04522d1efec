import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._base import Weighting

_ERRORS = ("mse", "mae", "huber", "log_mse", "duration_quantile")
"""Losses that are errors; the others are negative log likelihoods of classes or values."""


@keras.saving.register_keras_serializable("mtl_models")
class Uncertainty(Weighting):
    """Homoscedastic uncertainty (Kendall, Gal & Cipolla 2018): each task learns its noise σ.

    The term of a squared or absolute error is `L / (2σ²) + log σ` (eq. 5-7); that of a negative log
    likelihood (binary, multiclass and ordinal tasks, and regressions by such a loss) `L / σ² + log σ`
    (eq. 8-10). Learned is `s = log σ²`, by the model's optimizer. Needs only losses. It helps when scales
    differ and nobody knows them. For a constant loss either form settles at the weight `1 / (2L)`: it hurts
    where a rare task's small loss so earns a large weight. So `s` is kept in a range, by projection after
    each update (and not by a clip whose zero gradient would hold it at the bound for good), which keeps the
    weight of the first form within `[exp(-maximum) / 2, exp(-minimum) / 2]`, of the second within
    `[exp(-maximum), exp(-minimum)]`.

    Args:
        initial: log variance at the start, of every task.
        minimum: least log variance; a weight is at most `exp(-minimum)`.
        maximum: greatest log variance.

    Raises:
        ValueError: unless minimum <= initial <= maximum.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Task, Uncertainty
        >>> weighting = Uncertainty()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> np.asarray(weighting(np.array([0.7, 20.0], "float32"))).tolist()
        [1.0, 0.5]
    """

    needs_positive_losses = True
    BOUNDS = {"initial": (-20.0, 20.0), "minimum": (-20.0, 20.0), "maximum": (-20.0, 20.0)}

    def __init__(self, initial: float = 0.0, minimum: float = -3.0, maximum: float = 5.0, **kwargs):
        super().__init__(**kwargs)
        if not minimum <= initial <= maximum:
            raise ValueError(
                f"Uncertainty: minimum {minimum} <= initial {initial} <= maximum {maximum} does not hold"
            )
        self.initial = initial
        self.minimum = minimum
        self.maximum = maximum
        check_bounds(self)

    def build(self, input_shape=None):
        self.log_variances = self.add_weight(
            (len(self.tasks),),
            name="log_variances",
            initializer=keras.initializers.Constant(self.initial),
            constraint=lambda s: ops.clip(s, self.minimum, self.maximum),
        )
        self.built = True

    def weigh(self, losses, gram, present, training):
        factors = ops.convert_to_tensor([0.5 if task.loss in _ERRORS else 1.0 for task in self.tasks])
        return factors * ops.exp(-self.log_variances)

    def regularization(self):
        return 0.5 * ops.convert_to_tensor(self.log_variances)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "initial": self.initial,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
