"""Reading and gathering gradients of table rows: the TensorFlow half of the one embedding table.

`keras.ops.take` reads the whole variable before it gathers, and once a variable is scattered to, that
read is a copy: a step would slow down as the table grows. These functions touch only the rows named.
"""

from typing import NamedTuple

import tensorflow as tf


class RowGradients(NamedTuple):
    """Summed gradients of the table rows that a batch names.

    Attributes:
        rows: integers [N] or [U]; each of the U distinct rows is among them. None: every row of the table.
        sums: [N or U or R, dim], the sum of each distinct row's gradients once, and zeros elsewhere, so that
            norms and inner products over it are those of the distinct rows.
        owner: [N], where in `sums` each entry of `rows` has its sum; None: at its own place.
        named: booleans, which of `rows` the batch names: [R] of every row of the table; else a scalar,
            whether it names a row at all, since where not `rows` names another's. None: all of them.
    """

    rows: tf.Tensor | None
    sums: tf.Tensor
    owner: tf.Tensor | None
    named: tf.Tensor | None

    def of_each_row(self, sums: tf.Tensor) -> tf.Tensor:
        """`sums` [N or U, dim], of this shape, at every entry of `rows`."""
        return sums if self.owner is None else tf.gather(sums, self.owner)


def gather_rows(table, ids) -> tf.Tensor:
    """Rows of `table` [R, dim] at `ids` (any shape), zeros where an id is negative: [..., dim]."""
    known, rows, _ = _flat_rows(ids)
    values = tf.gather(table.value, rows)
    values = tf.where(known[:, None], values, tf.zeros_like(values))
    return tf.reshape(values, tf.concat([tf.shape(ids), [values.shape[-1]]], 0))


def sum_row_gradients(ids, gradients) -> RowGradients:
    """Sums the gradients [..., dim] of `ids` (int64, any shape; negative ids are left out), row by row."""
    ids = tf.reshape(ids, [-1])
    gradients = tf.reshape(gradients, [tf.size(ids), gradients.shape[-1]])
    rows, position = tf.unique(ids)
    sums = tf.math.unsorted_segment_sum(gradients, position, tf.size(rows))
    # left out of the few distinct rows, and not of the many ids
    known = tf.where(rows >= 0)[:, 0]
    return RowGradients(tf.gather(rows, known), tf.gather(sums, known), None, None)


def sum_row_gradients_in_place(ids, gradients, scratch: tf.Variable) -> RowGradients:
    """`sum_row_gradients` with shapes known beforehand, as XLA needs them: N entries of `rows`.

    Every entry writes its position to its row's place in `scratch`; the last that did owns the row, and the
    row's gradients are summed there. Padding stands for the batch's greatest row, to which it adds nothing.

    Args:
        ids: int64, any shape; negative ids are left out.
        gradients: [..., dim].
        scratch: integers [R], an entry for each row of the table, with any content.
    """
    known, rows, any_known = _flat_rows(ids)
    count = tf.size(rows)
    gradients = tf.reshape(gradients, [count, gradients.shape[-1]])
    gradients = tf.where(known[:, None], gradients, tf.zeros_like(gradients))
    scratch.scatter_update(tf.IndexedSlices(tf.range(count, dtype=scratch.dtype), rows))
    owner = tf.gather(scratch, rows)
    return RowGradients(rows, tf.math.unsorted_segment_sum(gradients, owner, count), owner, any_known)


def sum_gradients_of_every_row(ids, gradients, table_rows: int) -> RowGradients:
    """`sum_row_gradients` for XLA and a table with fewer rows than a batch has ids: one sum for each row.

    Then no id is written one by one but in this sum, and a step updates the table as a whole.

    Args:
        ids: int64, any shape; negative ids are left out.
        gradients: [..., dim].
        table_rows: R, how many the table has.
    """
    ids = tf.reshape(ids, [-1])
    gradients = tf.reshape(gradients, [tf.size(ids), gradients.shape[-1]])
    counted = tf.concat([gradients, tf.ones_like(gradients[:, :1])], axis=1)
    sums = tf.math.unsorted_segment_sum(counted, ids, table_rows)
    return RowGradients(None, sums[:, :-1], None, sums[:, -1] > 0)


def _flat_rows(ids):
    """`(whether an id is one [N], its row or the batch's greatest [N], whether there is any)`.

    The same rows for reading as for writing, so that XLA reads them once.
    """
    ids = tf.reshape(ids, [-1])
    known = ids >= 0
    greatest = tf.reduce_max(ids)
    return known, tf.where(known, ids, tf.maximum(greatest, tf.zeros_like(greatest))), greatest >= 0
