from keras import ops


def weighted_mean(values, weights):
    """`Σ w v / Σ w` over a batch, a scalar; exactly 0, with zero gradient, where `Σ w` is 0.

    Args:
        values: [B], finite.
        weights: [B], at least 0.
    """
    total = ops.sum(weights)
    # the inner `where` keeps 0/0 out of the gradient as well as out of the value
    safe_total = ops.where(total > 0, total, ops.ones_like(total))
    return ops.sum(values * weights) / safe_total
