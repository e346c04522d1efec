from keras import ops


def cumulative_logit(target, output):
    """`-log P(y)` of the proportional-odds model, [B], in nats.

    McCullagh, "Regression models for ordinal data" (JRSS B 1980), section 2: one score f for the row, K - 1
    ordered thresholds θ for all, and `P(y > k) = sigmoid(f - θ_k)`, so that
    `P(y = k) = sigmoid(f - θ_{k-1}) - sigmoid(f - θ_k)`.

    Args:
        target: [B], the class's number, 0 to K - 1.
        output: [B, K - 1], `f - θ_k`: the logits of P(y > k), descending.

    Example:
        >>> import numpy as np
        >>> output = np.log(np.array([[3.0, 1 / 3]], "float32"))  # P(y > 0) = 3/4, P(y > 1) = 1/4
        >>> round(float(np.exp(-np.array(cumulative_logit(np.array([1]), output)))[0]), 4)
        0.5
    """
    log_probabilities = cumulative_log_probabilities(output)
    chosen = ops.one_hot(ops.cast(target, "int32"), output.shape[-1] + 1, dtype=output.dtype)
    return -ops.sum(chosen * log_probabilities, axis=-1)


def cumulative_log_probabilities(output):
    """`log P(y = k)` [B, K] of cumulative logits [B, K - 1], descending; finite for any logits."""
    above, below = output[:, :-1], output[:, 1:]
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)); far out, a and b round to one number
    gap = ops.maximum(above - below, 1e-7)
    between = ops.log_sigmoid(above) + ops.log_sigmoid(-below) + ops.log(-ops.expm1(-gap))
    return ops.concatenate(
        [ops.log_sigmoid(-output[:, :1]), between, ops.log_sigmoid(output[:, -1:])], axis=-1
    )
