"""Random numbers that cost the same whether XLA compiles the step or not."""

import keras

from mtl_models.replicas import replica, replicas


def uniform(shape, generator, of_rows=True):
    """Numbers in [0, 1), float32, of a shape, from a `keras.random.SeedGenerator`.

    As `keras.random.uniform`, but that TensorFlow's algorithm is named (Philox: Salmon et al. 2011). Where
    it is left to choose, XLA draws on CPUs with one that is more than a hundred times slower. Replicas that
    divide a batch draw numbers of their own for their rows, from one state; with `of_rows=False`, of what is
    not a row's, all the same.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.random.uniform(shape, dtype="float32", seed=generator)
    import tensorflow as tf

    seed = tf.cast(tf.math.floormod(generator.next(), tf.constant(2**31 - 1, tf.int64)), tf.int32)
    if of_rows and replicas() > 1:
        seed = tf.random.experimental.stateless_fold_in(seed, replica())
    return tf.random.stateless_uniform(shape, seed, alg="philox")
