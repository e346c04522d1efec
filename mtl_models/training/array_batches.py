from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

ITERATORS_PER_EPOCH = 2
"""Keras' `fit` makes one when an epoch begins and, of a dataset whose size is known, one when it ends."""


class Source(NamedTuple):
    """What a dataset of `array_batches` is made from, for who gathers the batches without it.

    Attributes:
        data: tensors [N, ...], in the structure of a batch.
        count: batches an epoch.
        next_epoch: draws the next epoch's order: the row numbers of each batch, int32 [B].
    """

    data: Any
    count: int
    next_epoch: Callable[[], list[np.ndarray]]


def source_of(dataset) -> Source | None:
    """The source of what `array_batches` made; None of any other dataset, and of groups."""
    return getattr(dataset, "_array_source", None)


def arrays_of(dataset) -> Any:
    """The tensors [N, ...] that `array_batches` made a dataset from; None of any other dataset."""
    return getattr(dataset, "_arrays", None)


def array_batches(
    data, batch_size: int, seed: int = 0, shuffle: bool = True, groups=None, skip_iterators: int = 0
) -> tf.data.Dataset:
    """Batches of arrays in memory, each one gather, so that no row is handled alone.

    Args:
        data: a nest of arrays of equal length, such as `(x, y, sample_weight)` of dicts.
        batch_size: rows a batch; the last one is what is left.
        seed: of the order; every epoch has another, and a run with the same seed the same ones.
        shuffle: False keeps the rows' order (of groups: the order of their ids).
        groups: [N] ids of, say, requests: a group's rows then stand together in one batch, as listwise
            losses need it. Batches have about `batch_size` rows, fewer or more by less than a group, and the
            last up to twice as many; under XLA every new size compiles anew.
        skip_iterators: how many iterators' orders to pass over, to go on where an earlier run ended: one
            an epoch of a loop of one's own, `ITERATORS_PER_EPOCH` an epoch of Keras' `fit`.

    Raises:
        ValueError: if arrays differ in length, or a group has more rows than a batch.

    Example:

    >>> import numpy as np
    >>> from mtl_models import array_batches
    >>> batches = array_batches(np.arange(5), 2, shuffle=False)
    >>> [batch.numpy().tolist() for batch in batches]
    [[0, 1], [2, 3], [4]]
    >>> batches = array_batches(np.arange(5), 3, shuffle=False, groups=np.array([1, 0, 1, 0, 1]))
    >>> [batch.numpy().tolist() for batch in batches]
    [[1, 3, 0, 2, 4]]
    """
    data = tf.nest.map_structure(tf.constant, data)
    rows = _rows(data)
    if groups is None:
        count, ordered = _rows_ordered(rows, batch_size)
    else:
        count, ordered = _groups_ordered(np.asarray(groups), batch_size)

    def order_of(number):
        def shuffled(units):
            if not shuffle:
                return tf.range(units)
            return tf.random.experimental.stateless_shuffle(tf.range(units), seed=tf.stack([number, seed]))

        return ordered(shuffled)

    @tf.autograph.experimental.do_not_convert
    def epoch(number):
        order, cuts = order_of(number)

        @tf.autograph.experimental.do_not_convert
        def batch(i):
            taken = order[cuts[i] : cuts[i + 1]]
            return tf.nest.map_structure(lambda values: tf.gather(values, taken), data)

        return tf.data.Dataset.range(count, output_type=tf.int32).map(batch)

    def next_epoch():
        drawn = [next(iter(numbers)) for _ in range(ITERATORS_PER_EPOCH)]  # as if from the dataset
        order, cuts = order_of(drawn[0])
        return np.split(order.numpy(), cuts.numpy()[1:-1])

    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    for _ in range(skip_iterators):
        next(iter(numbers))
    batches = numbers.flat_map(epoch).apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)
    # a batch is a few small gathers: one thread makes them in time, and leaves the others to the step
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    batches = batches.with_options(options)
    batches._arrays = data
    if groups is None:  # those of groups differ in size
        batches._array_source = Source(data, count, next_epoch)
    return batches


def _rows(data) -> int:
    by_length = {}
    for path, values in keras.tree.flatten_with_path(data):
        by_length.setdefault(values.shape[0], "/".join(map(str, path)))
    if len(by_length) > 1:
        told = ", ".join(f"{path or 'one'} has {rows:,} rows" for rows, path in by_length.items())
        raise ValueError(f"arrays must have one length (0 is x, 1 labels, 2 weights): {told}")
    return next(iter(by_length))


def _rows_ordered(rows: int, batch_size: int):
    """How many batches, and a function of a shuffle: `(order of rows [N], where batches begin)`."""
    count = -(-rows // batch_size)

    def ordered(shuffled):
        return shuffled(rows), tf.minimum(tf.range(count + 1) * batch_size, rows)

    return count, ordered


def _groups_ordered(groups: np.ndarray, batch_size: int):
    """The same for whole groups: a group belongs to the batch in whose span of rows it begins."""
    by_group = np.argsort(groups, kind="stable").astype(np.int32)
    _, starts, lengths = np.unique(groups[by_group], return_index=True, return_counts=True)
    if len(lengths) and lengths.max() > batch_size:
        raise ValueError(
            f"a group has {lengths.max()} rows, more than a batch of {batch_size}; raise batch_size"
        )
    count = max(1, len(groups) // batch_size)
    starts, lengths = starts.astype(np.int32), lengths.astype(np.int32)

    def ordered(shuffled):
        order = shuffled(len(lengths))
        begin, length = tf.gather(starts, order), tf.gather(lengths, order)
        ends = tf.cumsum(length)
        batch = tf.minimum((ends - length) // batch_size, count - 1)
        first = tf.searchsorted(batch, tf.range(count + 1))
        cuts = tf.gather(tf.concat([[0], ends], 0), first)
        return tf.gather(by_group, tf.ragged.range(begin, begin + length).flat_values), cuts

    return count, ordered
