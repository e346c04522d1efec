from keras import ops

from mtl_models.replicas import sum_over_replicas


def weighted_mean(values, weights, total=None):
    """`Σ w v / Σ w` over a batch, a scalar; exactly 0, with zero gradient, where `Σ w` is 0.

    Of a batch that is divided among replicas each has its share: its rows' `Σ w v` by all rows' `Σ w`.

    Args:
        values: [B], finite.
        weights: [B], at least 0.
        total: all rows' `Σ w`, where it is known already.
    """
    if total is None:
        total = sum_over_replicas(ops.sum(weights))
    # the inner `where` keeps 0/0 out of the gradient as well as out of the value
    safe_total = ops.where(total > 0, total, ops.ones_like(total))
    return ops.sum(values * weights) / safe_total
