from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.inputs.feature_inputs import FeatureInputs
from mtl_models.inputs.layout import Layout
from mtl_models.kinds import KINDS
from mtl_models.losses import LOSSES, weighted_mean
from mtl_models.optimizers._base import RowOptimizer
from mtl_models.optimizers.adagrad import RowAdagrad
from mtl_models.rows import sum_row_gradients
from mtl_models.seeds import derive_seed
from mtl_models.step_log import StepLog
from mtl_models.tasks import Task
from mtl_models.towers import Towers
from mtl_models.weighting._base import Weighting
from mtl_models.weighting.equal import Equal


@keras.saving.register_keras_serializable("mtl_models")
class MultiTaskModel(keras.Model):
    """Inputs, architecture, towers and weighting, trained on every task at once.

    Inputs are packed, or named columns (see `Layout`); labels and sample weights are dicts from task to
    [B]. A row whose label is unknown has weight 0 and any finite label. Predictions are a dict from task
    to [B]: probabilities, or values in the label's units.

    Args:
        layout: what the inputs hold.
        tasks: what to predict, with distinct names.
        architecture: what shares and separates the tasks; part of this model alone.
        tower_units: width of each layer of each task's tower; empty leaves a linear head.
        tower_dropout: share of a tower layer's outputs that training sets to 0.
        embedding_dim: length of an embedding.
        interactions: pairs of categorical features whose embeddings' dot product is an input, "all" for
            every pair, None for none.
        vector_units: length that precomputed vectors are projected to; None leaves them as they are.
        weighting: how task losses are weighted against each other; None: `Equal()`.
        dropout: share of the dense input vector that training sets to 0.
        embedding_l2: λ of the penalty `λ/B Σ ‖row‖²` over the rows a batch of B reads, so that a row is
            drawn to 0 as often as it is used.
        embedding_scale: standard deviation of the embeddings' first values.
        seed: of every weight and of dropout.

    Raises:
        ValueError: if tasks are missing or share a name.
    """

    BOUNDS = {
        "tower_units": (1, 100_000),
        "tower_dropout": (0.0, 0.99),
        "embedding_dim": (1, 4096),
        "vector_units": (1, 100_000),
        "dropout": (0.0, 0.99),
        "embedding_l2": (0.0, None),
        "embedding_scale": (0.0, 10.0),
    }

    def __init__(
        self,
        layout: Layout,
        tasks: Sequence[Task],
        architecture: Architecture,
        tower_units: tuple[int, ...] = (32,),
        tower_dropout: float = 0.0,
        embedding_dim: int = 16,
        interactions: str | Sequence[Sequence[str]] | None = None,
        vector_units: int | None = None,
        weighting: Weighting | None = None,
        dropout: float = 0.0,
        embedding_l2: float = 0.0,
        embedding_scale: float = 0.01,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        names = [task.name for task in tasks]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a model needs tasks with distinct names; it was given {names}")
        self.layout = layout
        self.tasks = tuple(tasks)
        self.embedding_l2 = embedding_l2
        self.seed = seed
        self.embedding_optimizer = None
        self.feature_inputs = FeatureInputs(
            layout,
            embedding_dim,
            interactions,
            vector_units,
            dropout,
            embedding_scale,
            seed=derive_seed(seed, "inputs"),
            name="inputs",
        )
        self.architecture = architecture
        self.towers = Towers(
            self.tasks, tower_units, tower_dropout, seed=derive_seed(seed, "towers"), name="towers"
        )
        self.weighting = weighting or Equal()
        architecture.bind(self.tasks, derive_seed(seed, "architecture"))
        self.weighting.bind(self.tasks)
        self.step_log = StepLog(names, name="step_log")
        # every shape is known from the layout, so that weights exist before the first batch
        self.feature_inputs.build()
        architecture.build((None, self.feature_inputs.width))
        self.towers.build(architecture.compute_output_shape((None, self.feature_inputs.width)))
        self.weighting.build()
        self.built = True

    def call(self, inputs, training=None) -> dict:
        packed = self.layout.pack(inputs)
        return self._predictions(self._outputs(self.feature_inputs.lookup(packed), packed, training))

    def gate_use(self, inputs, batch_size: int = 8192) -> dict[str, dict[str, float]]:
        """For each gate, the mean weight it gives each expert over a dict of input arrays."""
        experts = self.architecture.gate_experts()
        rows = len(next(iter(inputs.values())))
        if not experts or not rows:
            return {}
        sums = {gate: np.zeros(len(names)) for gate, names in experts.items()}
        for start in range(0, rows, batch_size):
            packed = self.layout.pack({k: v[start : start + batch_size] for k, v in inputs.items()})
            for gate, weights in self.architecture.gate_weights(self.feature_inputs(packed)).items():
                sums[gate] += np.sum(ops.convert_to_numpy(weights), axis=0, dtype=np.float64)
        return {gate: dict(zip(experts[gate], (sums[gate] / rows).tolist())) for gate in experts}

    def compile(
        self,
        optimizer="adam",
        embedding_optimizer: RowOptimizer | None = None,
        clip_norm: float | None = None,
        steps_per_execution: int = 1,
        jit_compile: bool = False,
        run_eagerly: bool = False,
    ):
        """Sets how the model is trained.

        Args:
            optimizer: any Keras optimizer, for all weights but the embedding table.
            embedding_optimizer: for the embedding table; None: `RowAdagrad()`.
            clip_norm: greatest norm of a step's gradients, all of them taken as one vector.
            steps_per_execution: steps a call from Python.
            jit_compile: compiles the dense part of a step with XLA; table rows are read and written
                outside it. On CPU, dropout is slow under XLA.
            run_eagerly: as in Keras.
        """
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
            run_eagerly=run_eagerly,
        )
        self.clip_norm = clip_norm
        self._jit_dense = jit_compile
        self.optimizer.build(self._dense_variables())
        if self.layout.categorical:
            self.embedding_optimizer = embedding_optimizer or RowAdagrad()
            self.embedding_optimizer.build([self.feature_inputs.table])

    def get_compile_config(self) -> dict:
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "embedding_optimizer": keras.saving.serialize_keras_object(self.embedding_optimizer),
            "clip_norm": self.clip_norm,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self._jit_dense,
            "run_eagerly": self.run_eagerly,
        }

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list:
        return [self.step_log]

    def train_step(self, data):
        packed, labels, weights = self._unpack(data)
        rows = self.feature_inputs.lookup(packed)
        gradients = tf.function(self._gradients, jit_compile=True) if self._jit_dense else self._gradients
        row_gradients, dense_gradients, log = gradients(rows, packed, labels, weights)
        if rows is not None:
            ids, row_gradients = sum_row_gradients(packed["ids"], row_gradients)
        if self.clip_norm is not None:
            clipped, _ = tf.clip_by_global_norm([row_gradients, *dense_gradients], self.clip_norm)
            row_gradients, dense_gradients = clipped[0], clipped[1:]
        if rows is not None:
            self.embedding_optimizer.apply_rows(ids, row_gradients)
        self.optimizer.apply(dense_gradients, self._dense_variables())
        self.step_log.update_state(*log)
        return self.step_log.result()

    def test_step(self, data):
        packed, labels, weights = self._unpack(data)
        rows = self.feature_inputs.lookup(packed)
        self.step_log.update_state(*self._loss(rows, packed, labels, weights, training=False))
        return self.step_log.result()

    def _gradients(self, rows, packed, labels, weights):
        """Gradients with respect to the looked-up rows and to the dense weights, and what to log."""
        variables = self._dense_variables()
        with tf.GradientTape() as tape:
            if rows is not None:
                tape.watch(rows)
            log = self._loss(rows, packed, labels, weights, training=True)
        gradients = tape.gradient(
            log[0],
            [*([] if rows is None else [rows]), *[v.value for v in variables]],
            unconnected_gradients="zero",
        )
        return (None, gradients, log) if rows is None else (gradients[0], gradients[1:], log)

    def _loss(self, rows, packed, labels, weights, training):
        """`(total, losses [T], task weights [T], sums of row weights [T])` of a batch."""
        outputs = self._outputs(rows, packed, training)
        losses = ops.stack(
            [
                weighted_mean(LOSSES[task.loss](KINDS[task.kind].target(task, label), output), weight)
                for task, label, weight, output in zip(self.tasks, labels, weights, outputs)
            ]
        )
        weight_sums = ops.stack([ops.sum(weight) for weight in weights])
        present = ops.cast(weight_sums > 0, "float32")
        task_weights = self.weighting(losses, training=training)
        terms = task_weights * losses + self.weighting.regularization()
        total = ops.sum(ops.convert_to_tensor([t.loss_weight for t in self.tasks]) * present * terms)
        if self.embedding_l2 and rows is not None:
            # of a mean over rows, so that the penalty's weight does not depend on the batch size
            total += self.embedding_l2 * ops.sum(ops.square(rows)) / ops.cast(ops.shape(rows)[0], rows.dtype)
        return total, losses, task_weights, weight_sums

    def _outputs(self, rows, packed, training) -> list:
        dense = self.feature_inputs.combine(rows, packed, training=training)
        outputs = self.towers(self.architecture(dense, training=training), training=training)
        return [ops.cast(output, "float32") for output in outputs]

    def _predictions(self, outputs) -> dict:
        return {
            task.name: KINDS[task.kind].prediction(task, output) for task, output in zip(self.tasks, outputs)
        }

    def _unpack(self, data):
        """Packed inputs, and labels and weights as lists in the tasks' order."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        missing = [task.name for task in self.tasks if task.name not in (y or {})]
        if missing:
            raise KeyError(
                f"labels must be a dict with every task; missing: {', '.join(missing)} "
                "(a task without labels has any finite label, and weight 0)"
            )
        labels = [ops.reshape(ops.cast(y[task.name], "float32"), (-1,)) for task in self.tasks]
        given = sample_weight or {}
        weights = [
            ops.reshape(ops.cast(given[task.name], "float32"), (-1,))
            if task.name in given
            else ops.ones_like(label)
            for task, label in zip(self.tasks, labels)
        ]
        return self.layout.pack(x), labels, weights

    def _dense_variables(self) -> list:
        return [v for v in self.trainable_variables if v is not self.feature_inputs.table]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "layout": self.layout.to_dict(),
            "tasks": [task.get_config() for task in self.tasks],
            "architecture": keras.saving.serialize_keras_object(self.architecture),
            "tower_units": self.towers.units,
            "tower_dropout": self.towers.dropout_rate,
            "embedding_dim": self.feature_inputs.embedding_dim,
            "interactions": self.feature_inputs.interactions,
            "vector_units": self.feature_inputs.vector_units,
            "weighting": keras.saving.serialize_keras_object(self.weighting),
            "dropout": self.feature_inputs.dropout_rate,
            "embedding_l2": self.embedding_l2,
            "embedding_scale": self.feature_inputs.embedding_scale,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> "MultiTaskModel":
        return cls(
            **{
                **config,
                "layout": Layout.from_dict(config["layout"]),
                "tasks": [Task.from_config(task) for task in config["tasks"]],
                "architecture": keras.saving.deserialize_keras_object(config["architecture"]),
                "weighting": keras.saving.deserialize_keras_object(config["weighting"]),
            }
        )

    def get_build_config(self) -> None:
        """None: the constructor builds."""
