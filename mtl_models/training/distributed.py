"""Training over the replicas of a `tf.distribute` strategy: devices of one process, or of several workers.

Keras' `fit` fails on several workers (keras#20585), and would average over replicas what is to be divided by
the whole batch's weights. Here every worker makes the same batches and each replica takes its rows of them,
so that a step is the one that a single replica would take, whatever the number of replicas and however rows
and known labels fall on them; `TrainStep` says what is summed where. Draws (dropout) are each replica's own.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from mtl_models.replicas import of_first_replica, replica, replicas, sum_over_replicas
from mtl_models.training.array_batches import ITERATORS_PER_EPOCH
from mtl_models.training.worker_lost import WorkerLost

_GO_ON, _STOP, _FAILED = 0, 1, 2


def check(optimizer, jit_compile: bool) -> None:
    """Raises ValueError where a model cannot be trained so."""
    if jit_compile:
        raise ValueError("jit_compile: XLA compiles no step that several replicas take together")
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError("mixed_float16: losses are not scaled over several replicas; take mixed_bfloat16")


def is_chief(strategy) -> bool:
    """Whether this is the process that measures, stops and saves."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type == "chief":
        return True
    return resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs


def of_chief(strategy, number: int) -> int:
    """The chief's number, on every worker; all of them call it at the same place."""
    return _number_of_chief(strategy)(number)


def fit(
    model,
    batches: tf.data.Dataset,
    epochs: int = 1,
    initial_epoch: int = 0,
    callbacks=None,
    verbose=0,
    shuffle=False,
):
    """What `MultiTaskModel.fit` does with a model that was made in a strategy's scope.

    Every worker calls it with the same batches in the same order. Weights, states and slots are the chief's
    before each epoch. Callbacks are called on the chief alone, where they may measure, restore and save, and
    all follow its `model.stop_training`. At the end the other workers' weights are those of the last epoch.

    Args:
        model: a compiled `MultiTaskModel`.
        batches: of `(x, y)` or `(x, y, sample_weight)`, of a known number. They are divided by rows; with
            `request` in x by whole requests, whose rows are then to be neighbours.
        epochs, initial_epoch, callbacks: as in Keras.
        verbose, shuffle: of Keras' loop alone; nothing is shown here, and batches stay in their order.

    Returns:
        Keras' History on the chief; elsewhere None.

    Raises:
        WorkerLost: if another worker ended.
        TypeError: if batches are no dataset.
        ValueError: if their number is not known.
    """
    if not isinstance(batches, tf.data.Dataset):
        raise TypeError(
            "a model of several replicas is trained on a dataset, as array_batches makes it, not on "
            f"{type(batches).__name__}"
        )
    steps = int(batches.cardinality())
    if steps < 0:
        raise ValueError("a model of several replicas is trained on batches of a known number")
    strategy, told = model.replicated_by, None
    if is_chief(strategy):
        told = keras.callbacks.CallbackList(
            callbacks, add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
        )
        told.on_train_begin()
    step, take_from_chief, agreed = _step(model), _taking_from_chief(model), _number_of_chief(strategy)
    model.stop_training = False
    for epoch in range(initial_epoch, epochs):
        take_from_chief()
        logs = _epoch(model, step, batches, steps, epoch, told)
        model.weighting.end_epoch()
        if _ends(model, agreed, epoch, logs, told):
            break
    if told is None:
        return None
    told.on_train_end()
    return model.history


def _epoch(model, step: Callable, batches, steps: int, epoch: int, told) -> dict:
    """The epoch's logs."""
    model.reset_metrics()
    if told is not None:
        told.on_epoch_begin(epoch)
    # as many as Keras' loop makes, so that orders are those of one replica
    iterator = [iter(batches) for _ in range(ITERATORS_PER_EPOCH)][0]
    for first in range(0, steps, model.steps_per_execution):
        if told is not None:
            told.on_train_batch_begin(first)
        end = min(first + model.steps_per_execution, steps)
        for _ in range(first, end):
            step(iterator)
        if told is not None:
            told.on_train_batch_end(end - 1, model.get_metrics_result())
    return model.get_metrics_result()


def _ends(model, agreed: Callable, epoch: int, logs: dict, told) -> bool:
    """Whether the chief's callbacks end the training with this epoch."""
    verdict = _FAILED
    try:
        if told is not None:
            told.on_epoch_end(epoch, logs)
            verdict = _STOP if model.stop_training else _GO_ON
    finally:
        # the others wait for the word, and hear of a failure too
        verdict = agreed(verdict)
    if verdict == _FAILED:
        raise WorkerLost(f"the chief ended with epoch {epoch + 1}; its own output says why")
    return verdict == _STOP


def _step(model) -> Callable:
    """A function of an iterator: all replicas' step on its next batch.

    One step a call from Python, whatever `steps_per_execution`: see `gather_over_replicas`.
    """

    @tf.function(autograph=False)
    def step(iterator):
        model.replicated_by.run(lambda batch: model.train_step(_share(batch)), args=(next(iterator),))

    return _in_words(step)


def _taking_from_chief(model) -> Callable:
    """A function that makes every replica's weights, states and slots those of the chief's first."""
    embedding = [] if model.embedding_optimizer is None else model.embedding_optimizer.variables
    variables = [*model.variables, *model.optimizer.variables, *embedding]

    def take():
        for variable in variables:
            value = tf.convert_to_tensor(variable)
            # not every type of whole numbers is summed between processes
            summed = value if value.dtype.is_floating else tf.cast(value, tf.int64)
            variable.assign(tf.cast(sum_over_replicas(of_first_replica(summed)), value.dtype))

    return _in_words(tf.function(lambda: model.replicated_by.run(take), autograph=False))


def _number_of_chief(strategy) -> Callable[[int], int]:
    def of_first(value):
        return sum_over_replicas(of_first_replica(value))

    run = _in_words(tf.function(lambda value: strategy.run(of_first, args=(value,)), autograph=False))
    return lambda number: int(strategy.experimental_local_results(run(tf.constant(number)))[0])


def _share(batch):
    """This replica's rows of a batch of `(x, y)` or `(x, y, sample_weight)`."""
    rows = tf.shape(tf.nest.flatten(batch)[0])[0]
    first, end = (_cut(batch[0], rows, replica() + more) for more in (0, 1))
    return tf.nest.map_structure(lambda values: values[first:end], batch)


def _cut(x: dict, rows, number):
    """Where the rows of replica `number` begin: of whole requests, where x says which those are."""
    even = rows * number // replicas()
    if "request" not in x:
        return even
    request = tf.reshape(x["request"], [-1])
    begins = tf.concat([[True], (request[1:] != request[:-1]) | (request[1:] < 0), [True]], 0)
    begins = tf.cast(tf.where(begins)[:, 0], tf.int32)
    return begins[tf.searchsorted(begins, [even])[0]]


def _in_words(function: Callable) -> Callable:
    """The same, with WorkerLost for what TensorFlow says of a worker that it cannot reach."""

    def called(*arguments):
        try:
            return function(*arguments)
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
        ) as error:
            raise WorkerLost(
                "another worker ended, or cannot be reached any more. Start all of them again with the same "
                "command: training goes on after the last whole epoch"
            ) from error

    return called
