from keras import ops

from mtl_models.losses.binary_crossentropy import binary_crossentropy

_NOT_THERE = -1e30


def listwise(target, output, request, weight, list_share=0.5):
    """Regression-compatible listwise loss: ranks within a request, and keeps probabilities.

    Bai et al., "Regression compatible listwise objectives for calibrated ranking with binary relevance"
    (CIKM 2023), section 4: `(1 - α) SigmoidCE + α ListCE(sigmoid)`. The first is binary cross-entropy. The
    second is, of a positive row i of request q,

        -log( w_i sigmoid(z_i) / Σ_{j in q} w_j sigmoid(z_j) )

    and 0 of a negative row. (The row's own w_i changes no gradient; with it the loss is at least 0, and the
    unit of weights does not matter.) A softmax over logits would pull them away from those of probabilities;
    the share of sigmoids does not: `sigmoid(z_j) = P(y_j = 1)` is a minimum of both terms. (Each positive
    counts once; the paper divides by the positives of its request.) So predictions stay probabilities, about
    as calibrated as those of binary cross-entropy.

    The list is the rows of the request that are in the batch: `array_batches(groups=)` keeps requests whole.
    A request without positives adds nothing to the second term, nor does one of a single row, nor a row whose
    request is not known. Rows of weight 0 are in no list.

    Args:
        target: [B], 0 or 1.
        output: [B], logits; any size.
        request: [B], whole numbers, below 0 where the request is not known. Rows of one request need not be
            neighbours.
        weight: [B], at least 0.
        list_share: α, from 0 to 1.

    Returns:
        [B], in nats.

    Example:
        >>> import numpy as np
        >>> y, z = np.array([1.0, 0.0], "float32"), np.zeros(2, "float32")
        >>> loss = listwise(y, z, np.array([7, 7]), np.ones(2, "float32"), list_share=1.0)
        >>> np.round(np.exp(np.array(loss)), 4).tolist()  # the positive has half of its list
        [2.0, 1.0]
    """
    pointwise = binary_crossentropy(target, output)
    log_p = ops.log_sigmoid(output)
    in_list = ops.logical_and(weight > 0, request >= 0)
    own = ops.log(ops.where(in_list, weight, ops.ones_like(weight))) + log_p
    listed = target * (own - _log_sum(ops.where(in_list, log_p, _NOT_THERE), request, weight))
    return (1.0 - list_share) * pointwise - list_share * ops.where(in_list, listed, 0.0)


def _log_sum(values, groups, weight):
    """`log Σ_{j of the same group} w_j exp(v_j)` for each row, [B]; 0 where all of a group are left out."""
    order = ops.argsort(groups)
    ordered = ops.take(groups, order)
    new = ops.concatenate([ops.zeros((1,), "int32"), ops.cast(ordered[1:] != ordered[:-1], "int32")])
    place = ops.cumsum(new)
    size = values.shape[0] if values.shape[0] is not None else ops.shape(values)[0]
    values, weight = ops.take(values, order), ops.take(weight, order)
    # of a segment that no row is in, the maximum is -inf; no row reads it
    top = ops.take(ops.stop_gradient(ops.segment_max(values, place, size)), place)
    there = ops.where(values > 0.5 * _NOT_THERE, weight, 0.0)
    sums = ops.take(ops.segment_sum(there * ops.exp(values - top), place, size), place)
    found = ops.where(sums > 0, ops.log(ops.where(sums > 0, sums, 1.0)) + top, 0.0)
    return ops.take(found, ops.argsort(order))


listwise.settings = ("list_share",)
listwise.side = ("request", "weight")
