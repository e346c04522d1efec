from collections.abc import Sequence

import keras

from mtl_models.kinds import KINDS
from mtl_models.layers.experts import Experts
from mtl_models.layers.ordinal_head import OrdinalHead
from mtl_models.layers.ppnet_gate import PPNetGate
from mtl_models.seeds import derive_seed
from mtl_models.tasks import Task


@keras.saving.register_keras_serializable("mtl_models")
class Towers(keras.layers.Layer):
    """One perceptron and one head a task: features [B, T, d] to T outputs, [B], or [B, units] of tasks
    with several classes or outputs.

    The towers are one stack of matmuls. Outputs are logits or scaled values, by the task's kind; a head's
    bias starts where the kind puts it (a binary task's base rate). Heads are linear, but for ordinal tasks:
    see `OrdinalHead`.

    With a prior, each layer's input, the head's included, is first scaled elementwise by what a gate makes of
    the prior (`PPNetGate`; Chang et al., "PEPNet: parameter and embedding personalized network for infusing
    with personalized prior information", KDD 2023), so that users with little in common do not
    share every weight.

    Args:
        tasks: the tasks in order.
        units: width of each tower's layers; empty leaves the head alone.
        dropout: share of each layer's outputs that training sets to 0.
        seed: of kernels and dropout.
        prior_width: P, length of the prior; None: towers without a prior.
        prior_units: width of the hidden layer of each gate over the prior.

    Raises:
        ValueError: if called with a prior that it was not built for, or without the one that it was.

    Example:
        >>> import numpy as np
        >>> towers = Towers([Task("click", "binary"), Task("rating", "ordinal", classes=5)], units=(8,))
        >>> [tuple(output.shape) for output in towers(np.ones((3, 2, 16), "float32"))]
        [(3,), (3, 4)]
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        units: tuple[int, ...] = (),
        dropout: float = 0.0,
        seed: int = 0,
        prior_width: int | None = None,
        prior_units: int = 32,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tasks = list(tasks)
        self.units = tuple(units)
        self.dropout_rate = dropout
        self.seed = seed
        self.prior_width = prior_width
        self.prior_units = prior_units
        if prior_width is None:
            self.stack = self._experts(self.units, derive_seed(seed, "towers"), "towers")
        else:
            self.steps = [
                self._experts((width,), derive_seed(seed, "towers", i), f"towers_{i}")
                for i, width in enumerate(self.units)
            ]
        self.heads = [self._head(i, task) for i, task in enumerate(self.tasks)]

    def _experts(self, units: tuple[int, ...], seed: int, name: str) -> Experts:
        return Experts(
            len(self.tasks), units, self.dropout_rate, seed=seed, name=name, dtype=self.dtype_policy
        )

    def _head(self, i: int, task: Task) -> keras.layers.Layer:
        kind, seed = KINDS[task.kind], derive_seed(self.seed, "head", task.name)
        named = {"name": f"head_{i}", "dtype": self.dtype_policy}
        if task.kind == "ordinal":
            return OrdinalHead(kind.initial_bias(task), seed, **named)
        return keras.layers.Dense(
            kind.units(task),
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            bias_initializer=keras.initializers.Constant(kind.initial_bias(task)),
            **named,
        )

    def build(self, input_shape):
        widths = (input_shape[-1], *self.units)
        if self.prior_width is None:
            self.stack.build(input_shape)
        else:
            for step, width in zip(self.steps, widths):
                step.build((*input_shape[:-1], width))
            self.gate = PPNetGate(
                len(self.tasks),
                widths,
                self.prior_units,
                derive_seed(self.seed, "prior"),
                name="prior",
                dtype=self.dtype_policy,
            )
            self.gate.build((input_shape[0], self.prior_width))
        for head in self.heads:
            head.build((None, widths[-1]))
        self.built = True

    def call(self, x, prior=None, training=None):
        """T outputs of features [B, T, d] and, where there is one, the prior [B, P]."""
        if (prior is None) != (self.prior_width is None):
            raise ValueError(
                "Towers: a prior was given, but prior_width is None"
                if self.prior_width is None
                else f"Towers: needs a prior [B, {self.prior_width}]"
            )
        if prior is None:
            x = self.stack(x, training=training)
        else:
            scales = self.gate(prior)
            for step, scale in zip(self.steps, scales):
                x = step(x * scale, training=training)
            x = x * scales[-1]
        outputs = [head(x[:, i]) for i, head in enumerate(self.heads)]
        return [y[:, 0] if KINDS[task.kind].scalar(task) else y for task, y in zip(self.tasks, outputs)]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "tasks": [task.get_config() for task in self.tasks],
            "units": self.units,
            "dropout": self.dropout_rate,
            "seed": self.seed,
            "prior_width": self.prior_width,
            "prior_units": self.prior_units,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Towers":
        return cls(**{**config, "tasks": [Task.from_config(task) for task in config["tasks"]]})
