import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.calibration._base import Calibrator
from mtl_models.inputs.feature_inputs import FeatureInputs
from mtl_models.inputs.layout import Layout
from mtl_models.kinds import KINDS, side_inputs
from mtl_models.optimizers._base import RowOptimizer
from mtl_models.optimizers.adagrad import RowAdagrad
from mtl_models.seeds import derive_seed
from mtl_models.step_log import StepLog
from mtl_models.tasks import Task
from mtl_models.towers import Towers
from mtl_models.training import distributed
from mtl_models.training.array_batches import arrays_of, source_of
from mtl_models.training.batch import unpack
from mtl_models.training.check import check_arrays
from mtl_models.training.forward import forward, outputs_of
from mtl_models.training.gates import gate_statistics
from mtl_models.training.many_steps import ManySteps
from mtl_models.training.step import TrainStep
from mtl_models.weighting._base import Weighting
from mtl_models.weighting.equal import Equal

GRAM_OVER = ("representation", "parameters")


@keras.saving.register_keras_serializable("mtl_models")
class MultiTaskModel(keras.Model):
    """Inputs, architecture, towers and weighting, trained on every task at once.

    Inputs are packed, or named columns (see `Layout`); labels and sample weights are dicts from task to
    [B]. A row whose label is unknown has weight 0 and any label, such as NaN. Predictions are a dict from
    task to [B]: probabilities, or values in the label's units.

    Args:
        layout: what the inputs hold.
        tasks: what to predict, with distinct names.
        architecture: what shares and separates the tasks; part of this model alone.
        tower_units: width of each layer of each task's tower; empty leaves a linear head.
        tower_dropout: share of a tower layer's outputs that training sets to 0.
        embedding_dim: length of an embedding.
        interactions: pairs of features whose embeddings' dot product is an input, "all" for every pair of
            categorical ones, None for none; a vector named here has an embedding for it.
        vector_units: length that vectors are projected to, of all or vector → length; None, or a vector that
            is not named, is left as it is.
        weighting: how task losses are weighted against each other; None: `Equal()`.
        dropout: share of the dense input vector that training sets to 0.
        embedding_l2: λ of the penalty `λ/B Σ ‖row‖²` over the rows a batch of B reads, so that a row is
            drawn to 0 as often as it is used.
        embedding_scale: standard deviation of the embeddings' first values.
        id_dropout: share of ids that training replaces by their feature's unknown row, so that values not
            seen in training have an embedding that was.
        pooling: how the rows of a list become one: "mean", "sum" or "sqrtn".
        attention: pairs of a list and a single-valued feature, such as the items of a history and the item;
            the list is then pooled by target attention (DIN).
        attention_units: width of the attention's activation unit.
        cross_layers: layers of a cross network (DCN-v2) below the architecture; 0 for none.
        cross_rank: rank of its kernels; None for full ones.
        numeric_embedding: None leaves numbers as they are; "piecewise_linear" or "periodic" makes a vector
            of each.
        numeric_units: length of a number's vector.
        numeric_bins: piecewise_linear: the edges of each number's bins, as `quantile_bins` makes them.
        numeric_frequencies: periodic: how many frequencies a number has.
        numeric_scale: periodic: standard deviation of the frequencies' first values, to be tuned.
        learned_absent: whether a learned vector stands for an absent one, and not zeros.
        vector_dropout: share of a projected vector's entries that training sets to 0, of all or vector →
            share.
        position: the single-valued feature that says where an item stood; it then feeds a tower of its own
            and nothing else, and counts nothing at serving.
        position_tasks: names of the tasks whose outputs the position's tower adds to.
        position_dropout: share of training's rows whose position is left out.
        scenario: single-valued features, such as the page, whose gate scales the dense vector (EPNet).
        personal: single-valued features, such as user, item and author, whose gates scale the towers
            (PPNet).
        gate_units: width of the hidden layers of the scenario's gate and of the towers' gates.
        gram_over: what a weighting that needs gradients sees them with respect to: "representation", what
            the architecture's tasks read in common, or "parameters", the shared variables and the embedding
            rows of the batch, which costs a whole backward pass a task.
        calibrators: task → what its logits go through before they become probabilities; `calibrate` fits
            them.
        seed: of every weight and of dropout.

    Under a mixed precision policy (`dtype="mixed_float16"` or "mixed_bfloat16") layers compute in 16 bits;
    variables, the embedding table, losses and the Gram matrix stay float32. With float16, `compile` scales
    losses (`keras.optimizers.LossScaleOptimizer`), and a step whose gradients overflow changes nothing.

    Raises:
        ValueError: if tasks are missing or share a name, a task needs a side input that the layout lacks,
            position_tasks or calibrators name no task, a calibrator does not fit its task's kind, gram_over
            is unknown, or the weighting needs losses above 0 and a task's may be below; if a setting is out
            of its bounds.
        TypeError: if a task, the architecture or the weighting is none.

    Example:

    >>> import numpy as np
    >>> from mtl_models import Layout, MMoE, MultiTaskModel, Task
    >>> model = MultiTaskModel(Layout.of({"item": 50}, ["age"]), [Task("click", "binary")], MMoE(experts=2))
    >>> model.compile("adam")
    >>> x = {"item": np.array([3, 7]), "age": np.array([0.5, -1.0], "float32")}
    >>> logs = model.fit(x, {"click": np.array([0.0, 1.0])}, verbose=0)
    >>> model.predict(x, verbose=0)["click"].shape
    (2,)
    """

    BOUNDS = {
        "tower_units": (1, 100_000),
        "tower_dropout": (0.0, 0.99),
        "embedding_dim": (1, 4096),
        "vector_units": (1, 100_000),
        "dropout": (0.0, 0.99),
        "embedding_l2": (0.0, None),
        "embedding_scale": (0.0, 10.0),
        "id_dropout": (0.0, 0.99),
        "attention_units": (1, 4096),
        "cross_layers": (0, 64),
        "cross_rank": (1, 100_000),
        "numeric_units": (1, 4096),
        "numeric_frequencies": (1, 4096),
        "numeric_scale": (0.0, 1000.0),
        "vector_dropout": (0.0, 0.99),
        "position_dropout": (0.0, 0.99),
        "gate_units": (1, 100_000),
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
        vector_units: int | Mapping[str, int] | None = None,
        weighting: Weighting | None = None,
        dropout: float = 0.0,
        embedding_l2: float = 0.0,
        embedding_scale: float = 0.01,
        id_dropout: float = 0.0,
        pooling: str = "mean",
        attention: Sequence[Sequence[str]] | None = None,
        attention_units: int = 36,
        cross_layers: int = 0,
        cross_rank: int | None = None,
        numeric_embedding: str | None = None,
        numeric_units: int = 16,
        numeric_bins: Sequence[Sequence[float]] | None = None,
        numeric_frequencies: int = 48,
        numeric_scale: float = 0.01,
        learned_absent: bool = False,
        vector_dropout: float | Mapping[str, float] = 0.0,
        position: str | None = None,
        position_tasks: tuple[str, ...] = (),
        position_dropout: float = 0.1,
        scenario: tuple[str, ...] = (),
        personal: tuple[str, ...] = (),
        gate_units: int = 32,
        gram_over: str = "representation",
        calibrators: Mapping[str, Calibrator] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        settings = {name: value for name, value in locals().items() if name in self.BOUNDS}
        super().__init__(**kwargs)
        check_bounds(self, settings)
        _check_types(tasks, architecture, weighting)
        names = [task.name for task in tasks]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a model needs tasks with distinct names; it was given {names}")
        if gram_over not in GRAM_OVER:
            raise ValueError(f"gram_over '{gram_over}' is not one of {', '.join(GRAM_OVER)}")
        lacking = [name for name in side_inputs(tasks) if name not in layout.side]
        if lacking:
            raise ValueError(
                f"the tasks need the side inputs {', '.join(lacking)}; give the layout side={lacking}"
            )
        unknown = [name for name in position_tasks if name not in names]
        if unknown:
            raise ValueError(f"position_tasks: '{unknown[0]}' is not a task; those are {', '.join(names)}")
        self.layout = layout
        self.tasks = tuple(tasks)
        self.gram_over = gram_over
        self.embedding_l2 = embedding_l2
        self.seed = seed
        self.embedding_optimizer = None
        self.replicated_by = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
        with _policy(self.dtype_policy):
            self.feature_inputs = FeatureInputs(
                layout,
                embedding_dim,
                interactions,
                vector_units,
                dropout,
                embedding_scale,
                id_dropout=id_dropout,
                pooling=pooling,
                attention=attention,
                attention_units=attention_units,
                cross_layers=cross_layers,
                cross_rank=cross_rank,
                numeric_embedding=numeric_embedding,
                numeric_units=numeric_units,
                numeric_bins=numeric_bins,
                numeric_frequencies=numeric_frequencies,
                numeric_scale=numeric_scale,
                learned_absent=learned_absent,
                vector_dropout=vector_dropout,
                position=position,
                position_tasks=position_tasks,
                position_dropout=position_dropout,
                scenario=scenario,
                personal=personal,
                gate_units=gate_units,
                seed=derive_seed(seed, "inputs"),
                name="inputs",
            )
            self.architecture = architecture
            architecture.dtype_policy = self.dtype_policy
            architecture.bind(self.tasks, derive_seed(seed, "architecture"))
            self.towers = Towers(
                architecture.tower_tasks(),
                tower_units,
                tower_dropout,
                seed=derive_seed(seed, "towers"),
                prior_width=self.feature_inputs.prior_width,
                prior_units=gate_units,
                name="towers",
            )
            # every shape is known from the layout, so that weights exist before the first batch
            self.feature_inputs.build()
            architecture.build((None, self.feature_inputs.width))
            self.towers.build(architecture.compute_output_shape((None, self.feature_inputs.width)))
        with _policy("float32"):
            self.weighting = weighting or Equal()
            self.weighting.dtype_policy = "float32"
            self.weighting.bind(self.tasks)
            self.weighting.build()
            self.step_log = StepLog(names, name="step_log")
        self.set_calibrators(calibrators or {})
        self.built = True

    def call(self, inputs, training=None) -> dict:
        return self.predictions_and_gates(inputs, training)[0]

    def predictions_and_gates(self, inputs, training=None) -> tuple[dict, dict]:
        """Predictions, and for each of the architecture's gates its weights, [B, experts it may use]."""
        packed = self.layout.pack(inputs)
        found = outputs_of(self, self.feature_inputs.lookup(packed), packed, training)
        predictions = {
            task.name: KINDS[task.kind].prediction(task, output, packed, self.calibrators.get(task.name))
            for task, output in zip(self.tasks, found[0])
        }
        return predictions, found[-1]

    def set_calibrators(self, calibrators: Mapping[str, Calibrator]) -> None:
        """Puts these in the place of those there were; tasks that are not named have none.

        Raises:
            ValueError: if one names no task, or does not fit its task's kind.
        """
        kinds = {task.name: task.kind for task in self.tasks}
        for name, calibrator in calibrators.items():
            if name not in kinds:
                raise ValueError(f"calibrators: '{name}' is not a task; those are {', '.join(kinds)}")
            if kinds[name] not in calibrator.kinds:
                raise ValueError(
                    f"calibrators: '{name}' is a {kinds[name]} task, and {type(calibrator).__name__} is for "
                    f"{', '.join(calibrator.kinds)}"
                )
        self.calibrators = dict(calibrators)
        self.predict_function = None  # it holds those there were

    def gate_use(self, inputs, batch_size: int = 8192) -> dict[str, dict[str, float]]:
        """For each gate, the mean weight it gives each expert over a dict of input arrays."""
        return {gate: of["mean"] for gate, of in gate_statistics(self, inputs, batch_size).items()}

    def compile(
        self,
        optimizer="adam",
        embedding_optimizer: RowOptimizer | None = None,
        clip_norm: float | None = None,
        steps_per_execution: int = 1,
        jit_compile: bool = False,
        run_eagerly: bool = False,
    ):
        """Sets how the model is trained; in the scope of the strategy that the model was made in, if any.

        Args:
            optimizer: any Keras optimizer, for all weights but the embedding table.
            embedding_optimizer: for the embedding table; None: `RowAdagrad()`.
            clip_norm: greatest norm of a step's gradients, all of them taken as one vector.
            steps_per_execution: steps a call from Python.
            jit_compile: compiles a step with XLA; see `TrainStep`. Of `array_batches`, and without a GPU, a
                call's steps are then one program.
            run_eagerly: as in Keras.

        Raises:
            ValueError: if a model of a strategy is to be compiled with XLA, or to scale losses (float16);
                if the optimizer averages weights (use_ema), or the embedding's is another model's.
        """
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
            run_eagerly=run_eagerly,
        )
        if self.replicated_by is not None:
            distributed.check(self.optimizer, jit_compile)
        if getattr(self.optimizer, "inner_optimizer", self.optimizer).use_ema:
            raise ValueError("use_ema: the embedding table has an optimizer of its own, without averages")
        self.clip_norm = clip_norm
        self._jit_dense = jit_compile
        self.optimizer.build(self.dense_variables())
        if self.layout.categorical:
            self.embedding_optimizer = embedding_optimizer or RowAdagrad()
            self.embedding_optimizer.build([self.feature_inputs.table])
        self._step = TrainStep(self, clip_norm, jit_compile)
        self._many_steps = ManySteps(self)

    def fit(self, x=None, *args, callbacks=None, **kwargs):
        """As in Keras; the weighting is also told when an epoch ends.

        Arrays, and those of `array_batches`, are looked at first: see `training.check`.

        A model made in the scope of a `tf.distribute` strategy is trained by `training.distributed.fit`,
        over all its replicas; it takes batches, `epochs`, `initial_epoch` and callbacks.
        """
        if not self.compiled:
            raise ValueError("fit needs a compiled model, such as by model.compile('adam')")
        arrays = arrays_of(x)
        if isinstance(x, (Mapping, np.ndarray)) and self.replicated_by is None:
            given = [x, args[0] if args else kwargs.get("y"), kwargs.get("sample_weight")]
            arrays = tuple(given[: 2 if given[2] is None else 3])
        if arrays is not None:
            check_arrays(arrays, self.layout, self.tasks)
        if self.replicated_by is not None:
            return distributed.fit(self, x, *args, callbacks=callbacks, **kwargs)
        told = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self.weighting.end_epoch())
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = callbacks.callbacks
        given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []
        callbacks = [told, *given]
        source = source_of(x) if self._jit_dense and not self.run_eagerly else None
        if source is None or tf.config.list_logical_devices("GPU"):
            return super().fit(x, *args, callbacks=callbacks, **kwargs)
        batches, function = self._many_steps.of(source)
        before, self.train_function = self.train_function, function
        try:
            return super().fit(batches, *args, callbacks=callbacks, **kwargs)
        finally:
            self.train_function = before

    def get_compile_config(self) -> dict | None:
        """None of a model that is not compiled: what it is saved as is loaded so."""
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "embedding_optimizer": keras.saving.serialize_keras_object(self.embedding_optimizer),
            "clip_norm": self.clip_norm,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self._jit_dense,
            "run_eagerly": self.run_eagerly,
        }

    def compile_from_config(self, config: dict) -> None:
        _import_homes(config)
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def distribute_strategy(self):
        """Of Keras' own loops, such as `predict`: a model of many replicas is measured on one, alone."""
        return tf.distribute.get_strategy()

    @property
    def metrics(self) -> list:
        return [self.step_log]

    def train_step(self, data):
        return self._step(*unpack(data, self.layout, self.tasks))

    def test_step(self, data):
        packed, labels, weights = unpack(data, self.layout, self.tasks)
        rows = self.feature_inputs.lookup(packed)
        found = forward(self, rows, packed, labels, weights, training=False)
        losses = ops.stack(found.losses)
        present = found.weight_sums > 0
        # a weighting of gradients has nothing to say where there are none
        if self.weighting.needs_gram:
            task_weights, terms = ops.ones_like(losses), losses
        else:
            task_weights = self.weighting(losses, present=present, training=False)
            terms = task_weights * losses + self.weighting.regularization()
        factors = ops.convert_to_tensor([task.loss_weight for task in self.tasks], "float32")
        total = ops.sum(factors * ops.cast(present, "float32") * terms)
        if found.extra is not None:
            total += ops.cast(found.extra, "float32")
        self.step_log.update_state(total, losses, task_weights, found.weight_sums)
        return self.step_log.result()

    def gradient_gram(self, inputs, labels: dict, sample_weight: dict | None = None) -> np.ndarray:
        """Inner products of the task losses' gradients over a batch, without dropout: [T, T], float32.

        Entry (i, j) is `∇c_i L_i · ∇c_j L_j` with respect to what `gram_over` names; a task without weight in
        the batch has a row and column of 0. The model must be compiled.
        """
        if not self.compiled:
            raise ValueError("gradient_gram needs a compiled model, which knows how losses are scaled")
        batch = unpack((inputs, labels, sample_weight), self.layout, self.tasks)
        gram, _, _ = self._step.gram(*batch)
        return ops.convert_to_numpy(gram)

    def shared_variables(self) -> list:
        """The variables, the embedding table apart, that every task's loss may reach."""
        return [*self.feature_inputs.shared_variables(), *self.architecture.shared_variables()]

    def dense_variables(self) -> list:
        """All trainable variables but the embedding table."""
        return [v for v in self.trainable_variables if v is not self.feature_inputs.table]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "layout": self.layout.to_dict(),
            "tasks": [task.get_config() for task in self.tasks],
            "architecture": keras.saving.serialize_keras_object(self.architecture),
            "tower_units": self.towers.units,
            "tower_dropout": self.towers.dropout_rate,
            "weighting": keras.saving.serialize_keras_object(self.weighting),
            **self.feature_inputs.settings,
            "embedding_l2": self.embedding_l2,
            "gram_over": self.gram_over,
            "calibrators": {
                name: keras.saving.serialize_keras_object(c) for name, c in self.calibrators.items()
            },
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> "MultiTaskModel":
        calibrators = config.get("calibrators") or {}
        _import_homes(config)
        _import_homes(calibrators)
        return cls(
            **{
                **config,
                "calibrators": {
                    name: keras.saving.deserialize_keras_object(c) for name, c in calibrators.items()
                },
                "layout": Layout.from_dict(config["layout"]),
                "tasks": [Task.from_config(task) for task in config["tasks"]],
                "architecture": keras.saving.deserialize_keras_object(config["architecture"]),
                "weighting": keras.saving.deserialize_keras_object(config["weighting"]),
            }
        )

    def get_build_config(self) -> None:
        """None: the constructor builds."""


def _check_types(tasks, architecture, weighting) -> None:
    for task in tasks:
        if not isinstance(task, Task):
            raise TypeError(
                f"tasks must be instances of Task, such as Task('click', 'binary'); one is {task!r}"
            )
    if not isinstance(architecture, Architecture):
        raise TypeError(f"architecture must be an instance, such as MMoE(experts=4); it is {architecture!r}")
    if weighting is not None and not isinstance(weighting, Weighting):
        raise TypeError(f"weighting must be an instance, such as Uncertainty(); it is {weighting!r}")


def _import_homes(config: dict) -> None:
    """Imports this package's modules that a config names, however deep, so that their classes are known to
    Keras."""
    for part in config.values():
        if not isinstance(part, dict):
            continue
        module = part.get("module")
        if isinstance(module, str) and module.startswith("mtl_models."):
            importlib.import_module(module)
        _import_homes(part)


@contextlib.contextmanager
def _policy(policy) -> Iterator[None]:
    """Keras' global dtype policy while layers are made that make layers of their own."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
