"""A training step in TensorFlow: losses, Gram matrix, task weights, gradients, updates.

The total is `Σ_k c_k (w_k L_k + r_k)` over the tasks with any weight in the batch, plus what the
architecture and the embeddings' penalty add. Weights `w` are constants to the model's gradient, and losses
are constants to the gradient of the weighting's own variables. A weighting with `only_shared` weighs the
gradients of what the tasks share; towers, and all else behind that, get the plain `∇c_k L_k`.
"""

import keras
import tensorflow as tf

from mtl_models.rows import sum_row_gradients
from mtl_models.training.forward import forward


class TrainStep:
    """What `MultiTaskModel.train_step` does with a batch.

    Over the "representation" a Gram matrix costs one backward pass a task through what separates the tasks,
    and gradients of the total one pass through everything. Over the "parameters" each task has a pass through
    everything, and the gradient of the total is the weighted sum of theirs.

    Args:
        model: a compiled `MultiTaskModel`.
        clip_norm: greatest norm of all gradients as one vector; None does not clip.
        jit_compile: whether XLA compiles what is between reading and writing table rows.
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

        def compiled(function):
            return tf.function(function, jit_compile=True) if jit_compile else function

        self._at_once = compiled(self._at_once)
        self._by_task = compiled(self._by_task)
        self._mixed = compiled(self._mixed)
        self._losses_after = compiled(self._losses_after)

    def __call__(self, packed: dict, labels: list, weights: list) -> tuple:
        """Updates the model; returns `(total, losses [T], task weights [T], sums of row weights [T])`."""
        model, scale = self.model, self._scale()
        packed = model.feature_inputs.drop_ids(packed, training=True)
        rows = model.feature_inputs.lookup(packed)
        if self.over_parameters:
            ids, row_gradients, dense_gradients, log = self._over_parameters(
                rows, packed, labels, weights, scale
            )
        else:
            row_gradients, dense_gradients, log = self._at_once(rows, packed, labels, weights, scale)
            ids = None
            if rows is not None:
                ids, row_gradients = sum_row_gradients(packed["ids"], row_gradients)
        self._apply(ids, row_gradients, dense_gradients, scale)
        if model.weighting.needs_losses_after:
            rows = model.feature_inputs.lookup(packed)
            model.weighting.observe(log[1], self._losses_after(rows, packed, labels, weights))
        return log

    def gram(self, packed: dict, labels: list, weights: list):
        """`(Gram matrix [T, T], losses [T], sums of row weights [T])` of a batch, without dropout."""
        rows = self.model.feature_inputs.lookup(packed)
        tape, found = self._forward(rows, packed, labels, weights, training=False)
        scale = self._scale()
        if self.model.gram_over == "representation":
            gram = self._representation_gram(tape, found, scale)
        else:
            by_task = self._task_gradients(tape, found, rows, scale)
            gram = self._dense_gram(by_task, scale)
            if rows is not None:
                _, sums = _sum_rows(packed["ids"], tf.stack([g[0] for g in by_task], axis=-2))
                gram += _row_gram(sums, scale)
        return gram, tf.stack(found.losses), found.weight_sums

    # -- everything in one compiled function -----------------------------------------------------

    def _at_once(self, rows, packed, labels, weights, scale):
        tape, found = self._forward(rows, packed, labels, weights, training=True)
        gram = None
        if self.model.weighting.needs_gram:
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
        dense = self._merge(gradients[first:], weighting_gradients)
        return (None if rows is None else gradients[0]), dense, log

    # -- a pass a task, and the table's rows summed between two compiled functions ----------------

    def _over_parameters(self, rows, packed, labels, weights, scale):
        by_task, extra, gram, found = self._by_task(rows, packed, labels, weights, scale)
        ids, sums, row_gradients = None, None, None
        if rows is not None:
            stacked, by_task = by_task[0], by_task[1:]
            if extra is not None:
                stacked, extra = tf.concat([stacked, extra[0][..., None, :]], axis=-2), extra[1:]
            ids, sums = _sum_rows(packed["ids"], stacked)
            gram += _row_gram(sums[:, : len(self.model.tasks)], scale)
        mixture, dense, log = self._mixed(by_task, extra, gram, found, scale)
        if rows is not None:
            mixture = mixture if extra is None else tf.concat([mixture, [1.0]], 0)
            row_gradients = tf.einsum("utd,t->ud", sums, mixture)
        return ids, row_gradients, dense, log

    def _by_task(self, rows, packed, labels, weights, scale):
        """Gradients of each `c_k L_k`, stacked [..., T, dim] for rows, [T, ...] for weights; of the extra."""
        tape, found = self._forward(rows, packed, labels, weights, training=True)
        by_task = self._task_gradients(tape, found, rows, scale)
        gram = self._dense_gram(by_task, scale)
        extra = None
        if found.extra is not None:
            extra = _gradient(tape, [found.extra], [scale], self._sources(rows))
        first = 0 if rows is None else 1
        stacked = [tf.stack([g[0] for g in by_task], axis=-2)] if first else []
        for same in list(zip(*by_task))[first:]:
            stacked.append(tf.stack(same))
        return stacked, extra, gram, found._replace(z=tf.zeros(()))

    def _mixed(self, by_task, extra, gram, found, scale):
        """What each task's gradient is multiplied by, the sum of them so multiplied, and the log."""
        mixture, plain, weighting_gradients, log = self._weigh(found, gram, scale)
        of_own = plain if self.only_shared else mixture
        mixed = [
            tf.tensordot(mixture if shared else of_own, gradients, 1)
            for shared, gradients in zip(self.is_shared, by_task)
        ]
        if extra is not None:
            mixed = [a + b for a, b in zip(mixed, extra)]
        return mixture, self._merge(mixed, weighting_gradients), log

    # -- pieces ------------------------------------------------------------------------------------

    def _forward(self, rows, packed, labels, weights, training):
        with tf.GradientTape(persistent=True) as tape:
            if rows is not None:
                tape.watch(rows)
            found = forward(self.model, rows, packed, labels, weights, training)
        return tape, found

    def _sources(self, rows) -> list:
        """The looked-up rows, where there are any, and the model's dense variables."""
        variables = [self.variables[i].value for i in self.of_model]
        return variables if rows is None else [rows, *variables]

    def _task_gradients(self, tape, found, rows, scale) -> list[list]:
        sources, factors = self._sources(rows), tf.unstack(self.factors * scale)
        return [_gradient(tape, [loss], [factor], sources) for loss, factor in zip(found.losses, factors)]

    def _representation_gram(self, tape, found, scale):
        factors = tf.unstack(self.factors * scale)
        by_task = [_gradient(tape, [a], [b], [found.z])[0] for a, b in zip(found.losses, factors)]
        return _gram(by_task, scale)

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
        losses, present = tf.stack(found.losses), found.weight_sums > 0
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
            total += tf.cast(found.extra, tf.float32)
        plain = sound * tf.cast(present, tf.float32)
        return plain * task_weights, plain, gradients, (total, losses, task_weights, found.weight_sums)

    def _merge(self, of_model, of_weighting) -> list:
        merged = dict(zip(self.of_model, of_model)) | dict(zip(self.of_weighting, of_weighting))
        return [merged[i] for i in range(len(self.variables))]

    def _losses_after(self, rows, packed, labels, weights):
        return tf.stack(forward(self.model, rows, packed, labels, weights, training=True).losses)

    def _scale(self):
        """What losses are multiplied by, so that small gradients are not 0 in float16."""
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return tf.convert_to_tensor(optimizer.dynamic_scale)
        return tf.constant(1.0)

    def _apply(self, ids, row_gradients, dense_gradients, scale) -> None:
        model = self.model
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        if self.clip_norm is not None:
            bound = self.clip_norm * scale if scaled else self.clip_norm
            clipped, _ = tf.clip_by_global_norm([row_gradients, *dense_gradients], bound)
            row_gradients, dense_gradients = clipped[0], clipped[1:]
        if not scaled:
            if ids is not None:
                model.embedding_optimizer.apply_rows(ids, row_gradients)
            model.optimizer.apply(dense_gradients, self.variables)
            return
        # where any gradient overflowed, neither optimizer takes the step, and the dense one lowers the scale
        finite = tf.math.is_finite(tf.linalg.global_norm([row_gradients, *dense_gradients]))
        if ids is not None:

            def apply_rows():
                model.embedding_optimizer.apply_rows(ids, row_gradients / scale)
                return tf.constant(True)

            tf.cond(finite, apply_rows, lambda: tf.constant(False))
        poison = tf.where(finite, 0.0, float("nan"))
        model.optimizer.apply([dense_gradients[0] + poison, *dense_gradients[1:]], self.variables)


def _gradient(tape, targets, output_gradients, sources) -> list:
    return tape.gradient(targets, sources, output_gradients=output_gradients, unconnected_gradients="zero")


def _gram(gradients: list, scale):
    """[T, T] of T gradients of one shape that were multiplied by `scale`."""
    stacked = tf.stack([tf.reshape(tf.cast(g, tf.float32), [-1]) for g in gradients]) / scale
    return tf.matmul(stacked, stacked, transpose_b=True)


def _sum_rows(ids, by_task):
    """The distinct rows of `ids` [...] and their summed gradients [U, T, dim] of [..., T, dim]."""
    tasks, dim = by_task.shape[-2:]
    rows, sums = sum_row_gradients(ids, tf.reshape(by_task, [-1, tasks * dim]))
    return rows, tf.reshape(sums, [-1, tasks, dim])


def _row_gram(sums, scale):
    """[T, T] of [U, T, dim]: gradients of U distinct rows, multiplied by `scale`."""
    sums = sums / scale
    return tf.einsum("uid,ujd->ij", sums, sums)
