from keras import ops


def binary_crossentropy(target, output):
    """`-y log p - (1 - y) log(1 - p)` of the logit `output`, [B], in nats; finite for any logit."""
    # softplus(x) - x y, written so that exp never overflows
    return ops.relu(output) - output * target + ops.log1p(ops.exp(-ops.abs(output)))
