from keras import ops


def mse(target, output):
    """Squared error `(output - target)²`, [B]; its minimum is the conditional mean."""
    return ops.square(output - target)
