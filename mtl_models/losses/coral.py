from keras import ops

from mtl_models.losses.binary_crossentropy import binary_crossentropy


def coral(target, output):
    """The sum over k of binary cross-entropies of `y > k`, [B], in nats.

    Cao, Mirjalili & Raschka, "Rank consistent ordinal regression for neural networks with application to age
    estimation" (Pattern Recognition Letters 2020), equation 4: K - 1 binary questions with one shared score
    and a threshold each. (The paper's thresholds are free and come out ordered at the minimum; here they are
    ordered throughout.) Beside `cumulative_logit`, which is the likelihood, it weighs every threshold alike
    and so cares more for rare end classes' neighbours.

    Args:
        target: [B], the class's number, 0 to K - 1.
        output: [B, K - 1], the logits of P(y > k), descending.

    Example:
        >>> import numpy as np
        >>> round(float(coral(np.array([1.0]), np.zeros((1, 3), "float32"))[0] / np.log(2)), 4)
        3.0
    """
    levels = ops.arange(output.shape[-1], dtype=output.dtype)
    above = ops.cast(ops.expand_dims(ops.cast(target, output.dtype), -1) > levels, output.dtype)
    return ops.sum(binary_crossentropy(above, output), axis=-1)
