"""Random numbers that cost the same whether XLA compiles the step or not."""

import keras


def uniform(shape, generator):
    """Numbers in [0, 1), float32, of a shape, from a `keras.random.SeedGenerator`.

    As `keras.random.uniform`, but that TensorFlow's algorithm is named (Philox: Salmon et al. 2011). Where
    it is left to choose, XLA draws on CPUs with one that is more than a hundred times slower.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.random.uniform(shape, dtype="float32", seed=generator)
    import tensorflow as tf

    seed = tf.cast(tf.math.floormod(generator.next(), tf.constant(2**31 - 1, tf.int64)), tf.int32)
    return tf.random.stateless_uniform(shape, seed, alg="philox")
