from keras import ops


def focal(target, output, gamma=2.0):
    """`-(1 - p_t)^γ log p_t` of the logit `output`, where `p_t` is the probability given to what happened.

    Lin et al., "Focal loss for dense object detection" (ICCV 2017), equation 4. Rows that are predicted well
    count little, so that a rare class is not drowned by easy negatives; γ = 0 is binary cross-entropy. (The
    paper's α is a weight by class: give those rows a weight.)

    It is not a proper loss: its minimum is not at the true probability but between it and one half, so that
    predictions rank rows but are biased. Calibrate them on validation rows before they are read as
    probabilities.

    Args:
        target: [B], 0 or 1.
        output: [B], logits; any size.
        gamma: γ, at least 0.

    Returns:
        [B], in nats.

    Example:
        >>> import numpy as np
        >>> loss = focal(np.array([1.0, 1.0], "float32"), np.array([0.0, 3.0], "float32"))
        >>> np.round(np.array(loss), 4).tolist()
        [0.1733, 0.0001]
    """

    def happened(logit):
        # 1 - p = exp(-softplus(logit)), which never rounds to 0 too early
        return ops.exp(-gamma * ops.softplus(logit)) * ops.softplus(-logit)

    return target * happened(output) + (1.0 - target) * happened(-output)


focal.settings = ("gamma",)
