from mtl_models.losses.mse import mse


def log_mse(target, output):
    """Squared error `(output - t)²` of a target `t = log(1 + y)`, scaled: [B].

    For quantities that spread over orders of magnitude, such as watch time or spend: a few huge labels no
    longer rule the loss. Predictions are `exp(output) - 1`, times the factor of `mtl_models.smear`, which
    makes them means (Duan, "Smearing estimate", JASA 1983); without it they are medians (where errors of the
    log are symmetric).

    Args:
        target: [B], `log(1 + y)` in units of the task's scale.
        output: [B], the prediction in the same.

    Example:
        >>> import numpy as np
        >>> float(log_mse(np.log1p(np.array([0.0])), np.array([0.5]))[0])
        0.25
    """
    return mse(target, output)
