from keras import ops


def huber(target, output):
    """`e²/2` where `|e| <= 1`, else `|e| - 1/2`, [B], of `e = output - target`.

    Huber, "Robust estimation of a location parameter" (Annals of Mathematical Statistics 1964), with his k =
    1 in units of the task's scale: a squared error that outliers do not rule.

    Args:
        target: [B], in units of the task's scale.
        output: [B], the prediction in the same.

    Example:
        >>> import numpy as np
        >>> np.asarray(huber(np.array([1.0, 3.0]), np.array([0.5, 5.0]))).tolist()
        [0.125, 1.5]
    """
    error = ops.abs(output - target)
    return ops.where(error <= 1.0, 0.5 * ops.square(error), error - 0.5)
