import keras
import tensorflow as tf

from mtl_models.optimizers._base import RowOptimizer


@keras.saving.register_keras_serializable("mtl_models")
class RowAdam(RowOptimizer):
    """Lazy Adam: Adam (Kingma & Ba 2015, algorithm 1) on the rows of a batch.

    `m ← β₁ m + (1 - β₁) g`, `v ← β₂ v + (1 - β₂) g²`, `w ← w - η √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)`.

    It differs from dense Adam in that a row without a gradient is left as it is: dense Adam would decay
    its moments and move it on. The bias correction counts steps, not a row's own updates.

    Args:
        learning_rate: η.
        beta_1: decay of the first moment.
        beta_2: decay of the second moment.
        epsilon: added to the root of the second moment.

    Example:

    >>> import keras, numpy as np
    >>> from mtl_models import RowAdam
    >>> table = keras.Variable(np.zeros((3, 2), "float32"))
    >>> optimizer = RowAdam(0.1)
    >>> optimizer.build([table])
    >>> optimizer.apply_rows(np.array([2]), np.array([[1.0, -3.0]], "float32"))
    >>> np.round(np.float64(table), 4).tolist()  # the bias-corrected first step is η
    [[0.0, 0.0], [0.0, 0.0], [-0.1, 0.1]]
    """

    BOUNDS = {
        "learning_rate": (1e-9, 100.0),
        "beta_1": (0.0, 0.9999),
        "beta_2": (0.0, 0.999999),
        "epsilon": (0.0, 1.0),
    }

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    @property
    def initial_slots(self) -> dict[str, float]:
        return {"first_moment": 0.0, "second_moment": 0.0}

    def update_rows(self, values, first, second, gradients, *, learning_rate) -> tuple:
        step = tf.cast(self.iterations.value + 1, gradients.dtype)
        first += (1 - self.beta_1) * (gradients - first)
        second += (1 - self.beta_2) * (tf.square(gradients) - second)
        corrected = learning_rate * tf.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return values - corrected * first / (tf.sqrt(second) + self.epsilon), first, second

    def get_config(self) -> dict:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
