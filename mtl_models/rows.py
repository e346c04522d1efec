"""Reading and gathering gradients of table rows: the TensorFlow half of the one embedding table.

`keras.ops.take` reads the whole variable before it gathers, and once a variable is scattered to, that
read is a copy: a step would slow down as the table grows. These functions touch only the rows named.
"""

import tensorflow as tf


def gather_rows(table, ids) -> tf.Tensor:
    """Rows of `table` [R, dim] at `ids` (any shape), zeros where an id is negative: [..., dim]."""
    known = ids >= 0
    rows = tf.gather(table.value, tf.where(known, ids, tf.zeros_like(ids)))
    return rows * tf.cast(known, rows.dtype)[..., None]


def sum_row_gradients(ids, gradients) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct rows named in `ids` and the sum of each one's gradients.

    Args:
        ids: int64, any shape; negative ids are left out.
        gradients: [..., dim], one gradient an id.

    Returns:
        `(rows, sums)`: int64 [U] in order of appearance, and [U, dim].
    """
    ids = tf.reshape(ids, [-1])
    gradients = tf.reshape(gradients, [tf.size(ids), gradients.shape[-1]])
    rows, position = tf.unique(ids)
    sums = tf.math.unsorted_segment_sum(gradients, position, tf.size(rows))
    # left out of the few distinct rows, and not of the many ids
    known = tf.where(rows >= 0)[:, 0]
    return tf.gather(rows, known), tf.gather(sums, known)
