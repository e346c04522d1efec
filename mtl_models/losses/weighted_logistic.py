from keras import ops


def weighted_logistic(target, output):
    """Weighted logistic regression on a quantity: `y softplus(-z) + softplus(z)` of the logit z, [B].

    Covington, Adams & Sargin, "Deep neural networks for YouTube recommendations" (RecSys 2016), section 4.2:
    a logistic regression whose positives weigh their watch time learns odds that are the expected watch
    time, so that `exp(z)` predicts it. The argument: with N rows, k of them watched for times T_i, weighted
    positives and unweighted negatives, the odds are ΣT_i / (N - k), which is E[T] / (1 - P) for a share of
    clicks P: about E[T] where clicks are rare. They are not rare in a feed that plays by itself. Here every
    row, watched or not, counts once as a negative, so that the odds are ΣT_i / N, exactly E[T]: the loss's
    derivative, `sigmoid(z) (1 + y) - y`, is 0 in the mean where `exp(z) = E[y]`.

    Args:
        target: [B], at least 0.
        output: [B], the logarithm of the prediction; any size.

    Example:
        >>> import numpy as np
        >>> y, z = np.array([0.0, 6.0]), np.full(2, np.log(3.0))
        >>> step = 1e-3
        >>> slope = (weighted_logistic(y, z + step) - weighted_logistic(y, z - step)) / (2 * step)
        >>> round(abs(float(np.sum(np.array(slope)))), 3)  # exp(z) is the mean: a minimum
        0.0
    """
    return target * ops.softplus(-output) + ops.softplus(output)
