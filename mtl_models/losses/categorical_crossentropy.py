from keras import ops


def categorical_crossentropy(target, output):
    """`-log p_y` with `p = softmax(output)`, [B], in nats.

    The likelihood of the multinomial logit, the softmax of neural networks (Bridle, "Probabilistic
    interpretation of feedforward classification network outputs", 1990); finite for any logits.

    Args:
        target: [B], the class's number, 0 to K - 1.
        output: [B, K], logits; any size.

    Example:
        >>> import numpy as np
        >>> loss = categorical_crossentropy(np.array([2]), np.zeros((1, 4), "float32"))
        >>> round(float(loss[0]), 4)
        1.3863
    """
    chosen = ops.one_hot(ops.cast(target, "int32"), output.shape[-1], dtype=output.dtype)
    return -ops.sum(chosen * ops.log_softmax(output, axis=-1), axis=-1)
