import tensorflow as tf


def array_batches(data, batch_size: int, seed: int = 0, shuffle: bool = True) -> tf.data.Dataset:
    """Batches of arrays in memory, each one gather, so that no row is handled alone.

    Args:
        data: a nest of arrays of equal length, such as `(x, y, sample_weight)` of dicts.
        batch_size: rows a batch; the last one is what is left.
        seed: of the order; every epoch has another, and a run with the same seed the same ones.
        shuffle: False keeps the rows' order.
    """
    data = tf.nest.map_structure(tf.constant, data)
    rows = tf.nest.flatten(data)[0].shape[0]
    batches = -(-rows // batch_size)

    def epoch(number):
        order = tf.range(rows)
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, seed=tf.stack([number, seed]))

        def batch(i):
            taken = order[i * batch_size : (i + 1) * batch_size]
            return tf.nest.map_structure(lambda values: tf.gather(values, taken), data)

        return tf.data.Dataset.range(batches, output_type=tf.int32).map(batch)

    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    return numbers.flat_map(epoch).apply(tf.data.experimental.assert_cardinality(batches)).prefetch(2)
