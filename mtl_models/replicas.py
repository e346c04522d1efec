"""What the replicas of a model, each with its share of a batch, come to together.

Replicas are what `tf.distribute` runs a training step on: devices, of one process or of several (see
`training.distributed`). Outside such a step there is one, and every function here gives back what it is
given. A loss, or whatever joins the total, is on each replica a share: shares add up to what one replica would
have found of the whole batch, and so do their gradients.
"""

import keras
from keras import ops


def replicas() -> int:
    """How many there are."""
    context = _context()
    return 1 if context is None else context.num_replicas_in_sync


def replica() -> int:
    """Which of them this is, from 0."""
    context = _context()
    return 0 if context is None else context.replica_id_in_sync_group


def sum_over_replicas(values):
    """A nest of tensors, each summed over the replicas; all of them have the sums."""
    context = _context()
    return values if context is None else context.all_reduce("SUM", values)


def gather_over_replicas(values: list) -> list:
    """Tensors [n, ...], each joined with those of the other replicas, whose n may be another.

    TensorFlow takes the first n for that of all calls within one call from Python: no loop may be around it.
    """
    context = _context()
    if context is None:
        return values
    joined = context.all_gather(values, axis=0)
    for value, found in zip(values, joined):
        found.set_shape([None, *value.shape[1:]])
    return joined


def of_first_replica(value):
    """A tensor whose sum over the replicas is the first one's: zeros on the others."""
    if _context() is None:
        return value
    return ops.where(ops.equal(replica(), 0), value, ops.zeros_like(value))


def _context():
    """`tf.distribute`'s, where there are several replicas."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None
