"""A training step in TensorFlow: losses, Gram matrix, task weights, gradients, updates.

The total is `Σ_k c_k (w_k L_k + r_k)` over the tasks with any weight in the batch, plus what the
architecture and the embeddings' penalty add. Weights `w` are constants to the model's gradient, and losses
are constants to the gradient of the weighting's own variables. A weighting with `only_shared` weighs the
gradients of what the tasks share; towers, and all else behind that, get the plain `∇c_k L_k`.

Where replicas divide a batch (`mtl_models.replicas`), losses are shares that by their denominators add up to
the whole batch's; losses, gradients and Gram matrices are summed over the replicas before anything but a sum
is made of them, so that every replica takes the same step.
"""

import keras
import tensorflow as tf

from mtl_models.replicas import (
    gather_over_replicas,
    of_first_replica,
    replicas,
    sum_over_replicas,
)
from mtl_models.rows import (
    RowGradients,
    sum_gradients_of_every_row,
    sum_row_gradients,
    sum_row_gradients_in_place,
)
from mtl_models.training.forward import forward

SMALL_BATCH = 512
"""Rows of a batch from which on one is taken to name more ids than a small table has rows."""


class TrainStep:
    """What `MultiTaskModel.train_step` does with a batch.

    Over the "representation" a Gram matrix costs one backward pass through what separates the tasks, or one a
    task where an architecture does not read a copy a task, and gradients of the total one pass through
    everything. Over the "parameters" each task has a pass through everything, and the gradient of the total
    is the weighted sum of theirs.

    Args:
        model: a compiled `MultiTaskModel`.
        clip_norm: greatest norm of all gradients as one vector; None does not clip.
        jit_compile: whether XLA compiles the step, in which tables are read and written in place.
    """

    def __init__(self, model, clip_norm: float | None, jit_compile: bool):
        self.model = model
        self.clip_norm = clip_norm
        self.factors = tf.constant([task.loss_weight for task in model.tasks], tf.float32)
        self.variables = model.dense_variables()
        own = {id(v) for v in model.weighting.trainable_variables}
        self.of_weighting = [i for i, v in enumerate(self.variables) if id(v) in own]
        self.of_model = [i for i, v in enumerate(self.variables) if id(v) not in own]
        self.over_parameters = model.weighting.needs_gram and model.gram_over == "parameters"
        self.only_shared = model.weighting.only_shared
        shared = {id(v) for v in model.shared_variables()}
        self.is_shared = [id(self.variables[i]) in shared for i in self.of_model]
        self.scratch, self.small_table = None, False
        if jit_compile:
            self._update = tf.function(self._update, jit_compile=True, autograph=False)
            # of a batch's size nothing is known while the step is traced
            self.small_table = model.layout.table_rows <= SMALL_BATCH * model.layout.id_slots
            if model.layout.categorical and not self.small_table:
                # an int32 variable would not be kept on a GPU
                index = tf.int64 if tf.config.list_logical_devices("GPU") else tf.int32
                self.scratch = tf.Variable(tf.zeros([model.layout.table_rows], index), trainable=False)

    def __call__(self, packed: dict, labels: list, weights: list) -> dict:
        """Updates the model and its `step_log`; returns what that says of the epoch so far."""
        return self._update(packed, labels, weights)

    def _update(self, packed: dict, labels: list, weights: list) -> dict:
        model, scale = self.model, self._scale()
        packed = model.feature_inputs.drop_ids(packed, training=True)
        rows = model.feature_inputs.lookup(packed)
        gradients = self._over_parameters if self.over_parameters else self._at_once
        row_gradients, dense_gradients, log = gradients(rows, packed, labels, weights, scale)
        self._apply(row_gradients, dense_gradients, scale)
        if model.weighting.needs_losses_after:
            rows = model.feature_inputs.lookup(packed)
            found = forward(model, rows, packed, labels, weights, training=True)
            model.weighting.observe(log[1], sum_over_replicas(tf.stack(found.losses)))
        model.step_log.update_state(*log)
        return model.step_log.result()

    def gram(self, packed: dict, labels: list, weights: list):
        """`(Gram matrix [T, T], losses [T], sums of row weights [T])` of a batch, without dropout."""
        rows = self.model.feature_inputs.lookup(packed)
        copies = self.model.gram_over == "representation"
        tape, found = self._forward(rows, packed, labels, weights, training=False, copies=copies)
        scale = self._scale()
        if self.model.gram_over == "representation":
            gram = self._representation_gram(tape, found, scale)
        else:
            by_task = self._task_gradients(tape, found, rows, scale)
            gram = self._dense_gram(by_task, scale)
            if rows is not None:
                gram += _row_gram(self._sum_rows(packed["ids"], [g[0] for g in by_task]).sums, scale)
        return gram, tf.stack(found.losses), found.weight_sums

    # -- one pass through everything ---------------------------------------------------------------

    def _at_once(self, rows, packed, labels, weights, scale):
        needs_gram = self.model.weighting.needs_gram
        tape, found = self._forward(rows, packed, labels, weights, training=True, copies=needs_gram)
        gram = None
        if needs_gram:
            gram = self._representation_gram(tape, found, scale)
        mixture, plain, weighting_gradients, log = self._weigh(found, gram, scale)

        def total_gradient(factors, sources):
            targets, output_gradients = [*found.losses], tf.unstack(self.factors * factors * scale)
            if found.extra is not None:
                targets, output_gradients = [*targets, found.extra], [*output_gradients, scale]
            return _gradient(tape, targets, output_gradients, sources)

        sources = self._sources(rows)
        gradients = total_gradient(mixture, sources)
        first = 0 if rows is None else 1
        if self.only_shared:
            own = [first + i for i, shared in enumerate(self.is_shared) if not shared]
            for i, gradient in zip(own, total_gradient(plain, [sources[i] for i in own])):
                gradients[i] = gradient
        dense = self._merge(sum_over_replicas(gradients[first:]), weighting_gradients)
        summed = None if rows is None else self._sum_rows(packed["ids"], [gradients[0]])
        return summed and summed._replace(sums=summed.sums[:, 0]), dense, log

    # -- a pass a task -----------------------------------------------------------------------------

    def _over_parameters(self, rows, packed, labels, weights, scale):
        tape, found = self._forward(rows, packed, labels, weights, training=True)
        by_task = self._task_gradients(tape, found, rows, scale)
        gram = self._dense_gram(by_task, scale)
        if found.extra is not None:
            of_extra = _gradient(tape, [found.extra], [scale], self._sources(rows))
            by_task = [*by_task, self._summed_dense(of_extra)]
        summed = None
        if rows is not None:
            summed = self._sum_rows(packed["ids"], [gradients[0] for gradients in by_task])
            gram += _row_gram(summed.sums[:, : len(self.model.tasks)], scale)
            by_task = [gradients[1:] for gradients in by_task]
        mixture, plain, weighting_gradients, log = self._weigh(found, gram, scale)
        of_own = plain if self.only_shared else mixture
        if found.extra is not None:
            mixture, of_own = tf.concat([mixture, [1.0]], 0), tf.concat([of_own, [1.0]], 0)
        dense = [
            tf.tensordot(mixture if shared else of_own, tf.stack(same), 1)
            for shared, same in zip(self.is_shared, zip(*by_task))
        ]
        if summed is not None:
            summed = summed._replace(sums=tf.einsum("utd,t->ud", summed.sums, mixture))
        return summed, self._merge(dense, weighting_gradients), log

    # -- pieces ------------------------------------------------------------------------------------

    def _forward(self, rows, packed, labels, weights, training, copies=False):
        with tf.GradientTape(persistent=True) as tape:
            if rows is not None:
                tape.watch(rows)
            found = forward(self.model, rows, packed, labels, weights, training, copies)
        return tape, found

    def _sources(self, rows) -> list:
        """The looked-up rows, where there are any, and the model's dense variables."""
        variables = [self.variables[i].value for i in self.of_model]
        return variables if rows is None else [rows, *variables]

    def _task_gradients(self, tape, found, rows, scale) -> list[list]:
        sources, factors = self._sources(rows), tf.unstack(self.factors * scale)
        by_task = [_gradient(tape, [loss], [factor], sources) for loss, factor in zip(found.losses, factors)]
        return [self._summed_dense(gradients) for gradients in by_task]

    def _summed_dense(self, gradients: list) -> list:
        """Of `_sources`, those of dense variables over all replicas; `_sum_rows` sums those of rows."""
        first = len(gradients) - len(self.of_model)
        return [*gradients[:first], *sum_over_replicas(gradients[first:])]

    def _representation_gram(self, tape, found, scale):
        factors = tf.unstack(self.factors * scale)
        if isinstance(found.z, list):
            by_task = _gradient(tape, [*found.losses], factors, found.z)
        else:
            by_task = [_gradient(tape, [a], [b], [found.z])[0] for a, b in zip(found.losses, factors)]
        # of a batch's rows, some on each replica
        return sum_over_replicas(_gram(by_task, scale))

    def _dense_gram(self, by_task, scale):
        """Over the shared dense variables."""
        chosen = []
        for gradients in by_task:
            dense = gradients[len(gradients) - len(self.of_model) :]
            shared = [g for g, wanted in zip(dense, self.is_shared) if wanted]
            chosen.append(shared)
        tasks = len(by_task)
        grams = [_gram(same, scale) for same in zip(*chosen)]
        return tf.add_n(grams) if grams else tf.zeros((tasks, tasks))

    def _weigh(self, found, gram, scale):
        """`(weights [T] of the gradients of c_k L_k, the same unweighted, gradients of the weighting, log)`.

        Both are 0 for a task that is not in the batch.
        """
        weighting = self.model.weighting
        losses, present = sum_over_replicas(tf.stack(found.losses)), found.weight_sums > 0
        seen, sound = present, 1.0
        if gram is not None:
            # where gradients overflowed the weighting is to remember nothing, and the step is to be skipped
            finite = tf.reduce_all(tf.math.is_finite(gram))
            gram, seen = tf.where(finite, gram, tf.zeros_like(gram)), present & finite
            sound = tf.where(finite, 1.0, float("nan"))
        with tf.GradientTape() as tape:
            task_weights = weighting(losses, gram=gram, present=seen, training=True)
            here = self.factors * tf.cast(present, tf.float32)
            total = tf.reduce_sum(here * (task_weights * losses + weighting.regularization()))
        gradients = []
        if self.of_weighting:
            gradients = tape.gradient(
                total, [self.variables[i].value for i in self.of_weighting], unconnected_gradients="zero"
            )
            gradients = [g * scale for g in gradients]
        if found.extra is not None:
            total += sum_over_replicas(tf.cast(found.extra, tf.float32))
        plain = sound * tf.cast(present, tf.float32)
        return plain * task_weights, plain, gradients, (total, losses, task_weights, found.weight_sums)

    def _merge(self, of_model, of_weighting) -> list:
        merged = dict(zip(self.of_model, of_model)) | dict(zip(self.of_weighting, of_weighting))
        return [merged[i] for i in range(len(self.variables))]

    def _sum_rows(self, ids, by_task: list) -> RowGradients:
        """Of T gradients [..., dim] of the rows at `ids` [...]; the sums are [N or U or R, T, dim]."""
        dim = by_task[0].shape[-1]
        gradients = tf.concat(by_task, axis=-1)
        if self.small_table:
            summed = sum_gradients_of_every_row(ids, gradients, self.model.layout.table_rows)
        elif self.scratch is None:
            summed = sum_row_gradients(ids, gradients)
            if replicas() > 1:
                summed = sum_row_gradients(*gather_over_replicas([summed.rows, summed.sums]))
        else:
            summed = sum_row_gradients_in_place(ids, gradients, self.scratch)
        return summed._replace(sums=tf.reshape(summed.sums, [-1, len(by_task), dim]))

    def _scale(self):
        """What losses are multiplied by, so that small gradients are not 0 in float16."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return tf.convert_to_tensor(optimizer.dynamic_scale)
        return tf.constant(1.0)

    def _apply(self, rows: RowGradients | None, dense_gradients, scale) -> None:
        model = self.model
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        row_gradients = None if rows is None else rows.sums
        if self.clip_norm is not None:
            bound = self.clip_norm * scale if scaled else self.clip_norm
            clipped, _ = tf.clip_by_global_norm([row_gradients, *dense_gradients], bound)
            row_gradients, dense_gradients = clipped[0], clipped[1:]
        wanted = None if rows is None else rows.named
        if scaled:
            # where any gradient overflowed, no optimizer takes the step, and the dense one lowers the scale
            finite = tf.math.is_finite(tf.linalg.global_norm([row_gradients, *dense_gradients]))
            poison = tf.where(finite, 0.0, float("nan"))
            dense_gradients = [dense_gradients[0] + poison, *dense_gradients[1:]]
            wanted = finite if wanted is None else wanted & finite
        if rows is not None:
            model.embedding_optimizer.apply_rows(rows.rows, rows.of_each_row(row_gradients) / scale, wanted)
        # Keras' optimizers sum over replicas what is summed already
        model.optimizer.apply([of_first_replica(g) for g in dense_gradients], self.variables)


def _gradient(tape, targets, output_gradients, sources) -> list:
    return tape.gradient(targets, sources, output_gradients=output_gradients, unconnected_gradients="zero")


def _gram(gradients: list, scale):
    """[T, T] of T gradients of one shape that were multiplied by `scale`."""
    stacked = tf.stack([tf.reshape(tf.cast(g, tf.float32), [-1]) for g in gradients]) / scale
    return tf.matmul(stacked, stacked, transpose_b=True)


def _row_gram(sums, scale):
    """[T, T] of [U, T, dim]: gradients of U distinct rows, multiplied by `scale`."""
    sums = sums / scale
    return tf.einsum("uid,ujd->ij", sums, sums)
