import math

from keras import ops

LEAST_SIGMA = 1e-3


def ziln(target, output):
    """Negative log-likelihood of a zero-inflated log-normal, [B], for spend: mostly 0, else heavy-tailed.

    Wang, Liu & Miao, "A deep probabilistic model for customer lifetime value prediction" (2019):
    with `p = sigmoid(o_0)`, `μ = o_1`, `σ = softplus(o_2)` (at least 1e-3),

        -log(1 - p)                                                      where y = 0
        -log p + log(y σ √(2π)) + (log y - μ)² / (2 σ²)                  where y > 0

    The mean, and prediction, is `p exp(μ + σ²/2)`. The loss may be below 0, being a density's.

    Args:
        target: [B], at least 0.
        output: [B, 3].

    Example:
        >>> import numpy as np
        >>> loss = ziln(np.array([0.0], "float32"), np.array([[0.0, 5.0, 1.0]], "float32"))
        >>> round(float(loss[0]), 4)
        0.6931
    """
    bought, mu, sigma = ziln_parts(output)
    positive = ops.cast(target > 0, output.dtype)
    # the inner `where` keeps log 0 out of the gradient as well as out of the value
    log_y = ops.log(ops.where(target > 0, target, ops.ones_like(target)))
    density = log_y + ops.log(sigma) + 0.5 * math.log(2 * math.pi) + 0.5 * ops.square((log_y - mu) / sigma)
    return ops.softplus(bought) - positive * bought + positive * density


def ziln_parts(output):
    """Of outputs [B, 3]: the logit of p, μ and σ, [B] each."""
    return output[:, 0], output[:, 1], ops.softplus(output[:, 2]) + LEAST_SIGMA
