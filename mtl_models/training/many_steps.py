"""Many training steps in one XLA program, of arrays in memory."""

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from mtl_models.training.array_batches import Source


class ManySteps:
    """Steps on batches that the program itself gathers from whole arrays.

    Between two programs of one step each, Python, `tf.data` and TensorFlow's executor take a fifth of the
    time on an idle machine and half on a busy one; in a loop inside a program there is nothing between them.
    As many steps as `steps_per_execution` says are one program's.

    Args:
        model: a `MultiTaskModel` compiled with `jit_compile`.
    """

    def __init__(self, model):
        self.model = model
        self._run = tf.function(self._steps, jit_compile=True, autograph=False)

    def of(self, source: Source) -> tuple[tf.data.Dataset, Callable]:
        """What Keras' `fit` iterates over, and what it calls with the iterator for each execution."""
        batches: list[np.ndarray] = []

        def train(iterator) -> dict:
            nonlocal batches
            steps = self.model.steps_per_execution
            taken = [int(i) for i in itertools.islice(iterator, steps)]
            if not taken:
                raise StopIteration
            if taken[0] == 0:
                batches = source.next_epoch()
            # an epoch's last batch may be smaller, and is then a program of its own
            for size, same in itertools.groupby((batches[i] for i in taken), len):
                same = list(same)
                rows = np.zeros((steps, size), np.int32)
                rows[: len(same)] = same
                logs = self._run(source.data, tf.constant(rows), tf.constant(len(same)))
            return logs

        return tf.data.Dataset.range(source.count), train

    def _steps(self, data, rows, count) -> dict:
        """A step on each of the first `count` of `rows` [K, B]; the epoch's logs so far."""

        def step(i):
            batch = tf.nest.map_structure(lambda values: tf.gather(values, rows[i]), data)
            self.model.train_step(batch)
            return i + 1

        tf.while_loop(lambda i: i < count, step, [tf.constant(0)])
        return self.model.step_log.result()
