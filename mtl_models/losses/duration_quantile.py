from mtl_models.losses.mse import mse


def duration_quantile(target, output):
    """Squared error `(output - q)²` of the scaled quantile q of watch time among rows of like duration: [B].

    Zhan et al., "Deconfounding duration bias in watch-time prediction for video recommendation" (KDD 2022),
    D2Q: rows are grouped by the video's duration, and the label becomes the share of rows of
    its group that were watched no longer. Long videos then no longer win by being long. The prediction is
    the group's watch time at the predicted quantile; `mtl_models.duration_quantiles` makes the tables that
    the model maps with, both ways.

    What is predicted is the watch time at the expected quantile, not the expected watch time: it ranks, but
    its sum need not be that of the labels.

    Args:
        target: [B], q in units of the task's scale.
        output: [B], the prediction in the same.

    Example:
        >>> import numpy as np
        >>> float(duration_quantile(np.array([1.0]), np.array([0.5]))[0])
        0.25
    """
    return mse(target, output)
