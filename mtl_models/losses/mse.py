from keras import ops


def mse(target, output):
    """Squared error `e = (output - target)²`, [B]; its minimum is the conditional mean.

    Which loss asks for which number: Gneiting, "Making and evaluating point forecasts" (JASA 2011), section
    3.

    Args:
        target: [B], in units of the task's scale.
        output: [B], the prediction in the same.

    Example:
        >>> import numpy as np
        >>> np.asarray(mse(np.array([1.0, 3.0]), np.array([0.5, 5.0]))).tolist()
        [0.25, 4.0]
    """
    return ops.square(output - target)
