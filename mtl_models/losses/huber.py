from keras import ops


def huber(target, output):
    """`e²/2` where |e| <= 1, else `|e| - 1/2`, [B] (Huber 1964), `e` in units of the task's scale."""
    error = ops.abs(output - target)
    return ops.where(error <= 1.0, 0.5 * ops.square(error), error - 0.5)
