from keras import ops


def binary_crossentropy(target, output):
    """`-y log p - (1 - y) log(1 - p)` with `p = sigmoid(output)`, [B], in nats.

    The likelihood of logistic regression (Cox, "The regression analysis of binary sequences", JRSS B 1958);
    finite for any logit.

    Args:
        target: [B], 0 or 1.
        output: [B], logits; any size.

    Example:
        >>> import numpy as np
        >>> loss = binary_crossentropy(np.array([1.0, 0.0]), np.array([0.0, -1e4]))
        >>> np.round(np.asarray(loss), 4).tolist()
        [0.6931, 0.0]
    """
    # softplus(x) - x y, written so that exp never overflows
    return ops.relu(output) - output * target + ops.log1p(ops.exp(-ops.abs(output)))
