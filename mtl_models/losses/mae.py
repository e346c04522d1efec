from keras import ops


def mae(target, output):
    """Absolute error `|output - target|`, [B]; its minimum is the conditional median."""
    return ops.abs(output - target)
