import keras
import tensorflow as tf

from mtl_models.optimizers._base import RowOptimizer


@keras.saving.register_keras_serializable("mtl_models")
class RowAdagrad(RowOptimizer):
    """Adagrad (Duchi et al. 2011) on the rows of a batch: `a += g²`, `w -= η g / (√a + ε)`.

    The mean over a batch makes a row's gradient small, so `initial_accumulator` brakes rare rows: a
    row's first steps are `g / √initial_accumulator` where that exceeds `|g|`.

    Args:
        learning_rate: η.
        initial_accumulator: what every accumulator starts from.
        epsilon: ε, which keeps a zero accumulator from dividing by zero.

    Example:

    >>> import keras, numpy as np
    >>> from mtl_models import RowAdagrad
    >>> table = keras.Variable(np.zeros((3, 2), "float32"))
    >>> optimizer = RowAdagrad(0.1, initial_accumulator=0.0)
    >>> optimizer.build([table])
    >>> optimizer.apply_rows(np.array([2]), np.array([[1.0, -3.0]], "float32"))
    >>> np.round(np.float64(table), 4).tolist()  # a row's first step is η, whatever the gradient's size
    [[0.0, 0.0], [0.0, 0.0], [-0.1, 0.1]]
    """

    BOUNDS = {"learning_rate": (1e-9, 100.0), "initial_accumulator": (0.0, None), "epsilon": (0.0, 1.0)}

    def __init__(
        self,
        learning_rate: float = 0.05,
        initial_accumulator: float = 0.0001,
        epsilon: float = 1e-8,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.initial_accumulator = initial_accumulator
        self.epsilon = epsilon

    @property
    def initial_slots(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator}

    def update_rows(self, values, accumulated, gradients, *, learning_rate) -> tuple:
        accumulated += tf.square(gradients)
        return values - learning_rate * gradients / (tf.sqrt(accumulated) + self.epsilon), accumulated

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "initial_accumulator": self.initial_accumulator,
            "epsilon": self.epsilon,
        }
