import keras
from keras import ops

METHODS = ("mean", "sum", "sqrtn")


@keras.saving.register_keras_serializable("mtl_models")
class MaskedPooling(keras.layers.Layer):
    """Several embeddings to one, over the entries that are there.

    With n entries there: `mean` is `Σ x / n` (as Covington, Adams & Sargin 2016 average what a user watched),
    `sum` is `Σ x`, `sqrtn` is `Σ x / √n` (as Cer et al. 2018 do, so that differences between short lists are
    not drowned by their lengths): the combiners of TensorFlow's `embedding_lookup_sparse`. Zeros where no
    entry is there.

    Args:
        method: "mean", "sum" or "sqrtn".

    Input: [B, L, dim], and a mask [B, L], true where an entry is there; what stands elsewhere never
    matters. Output: [B, dim].

    Raises:
        ValueError: if the method is none of these.

    Example:

    >>> import numpy as np
    >>> from mtl_models import MaskedPooling
    >>> x = np.array([[[2.0], [4.0], [9.0]]], "float32")
    >>> pooled = MaskedPooling("mean")(x, np.array([[True, True, False]]))
    >>> float(pooled[0, 0])
    3.0
    """

    def __init__(self, method: str = "mean", **kwargs):
        super().__init__(**kwargs)
        if method not in METHODS:
            raise ValueError(f"MaskedPooling: method must be one of {', '.join(METHODS)}; it is {method!r}")
        self.method = method

    def call(self, x, mask):
        total = ops.sum(ops.where(mask[..., None], x, ops.zeros_like(x)), axis=1)
        if self.method == "sum":
            return total
        count = ops.maximum(ops.sum(ops.cast(mask, total.dtype), axis=1, keepdims=True), 1.0)
        return total / (count if self.method == "mean" else ops.sqrt(count))

    def get_config(self) -> dict:
        return {**super().get_config(), "method": self.method}
