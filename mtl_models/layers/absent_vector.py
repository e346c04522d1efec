import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_models")
class AbsentVector(keras.layers.Layer):
    """What stands where a row has no precomputed vector: a learned vector, or zeros.

    `m x + (1 - m) a`, with m 1 where the row has a vector and 0 where it has none, and `a` learned or 0 (of
    no paper). A row without a vector holds NaN in every entry. A row with NaN in some entries only is left as
    it is, so that the mistake shows in the loss.

    Args:
        learned: whether the vector is trained (it begins at zeros) or stays zeros.

    Input and output: [B, dim].

    Example:

    >>> import numpy as np
    >>> from mtl_models import AbsentVector
    >>> np.asarray(AbsentVector()(np.array([[1, 2], [np.nan, np.nan]], "float32"))).tolist()
    [[1.0, 2.0], [0.0, 0.0]]
    """

    def __init__(self, learned: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.learned = learned
        self.vector = None

    def build(self, input_shape):
        if self.learned:
            self.vector = self.add_weight((input_shape[-1],), name="vector", initializer="zeros")
        self.built = True

    def call(self, x):
        absent = ops.all(ops.isnan(x), axis=-1, keepdims=True)
        instead = ops.zeros_like(x) if self.vector is None else ops.convert_to_tensor(self.vector)
        return ops.where(absent, instead, x)

    def get_config(self) -> dict:
        return {**super().get_config(), "learned": self.learned}
