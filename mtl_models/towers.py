from collections.abc import Sequence

import keras

from mtl_models.kinds import KINDS
from mtl_models.layers.experts import Experts
from mtl_models.seeds import derive_seed
from mtl_models.tasks import Task


@keras.saving.register_keras_serializable("mtl_models")
class Towers(keras.layers.Layer):
    """One perceptron and one linear head a task: [B, T, d] to T outputs [B].

    The towers are one stack of matmuls. Outputs are logits or scaled values, by the task's kind; a
    head's bias starts where the kind puts it (a binary task's base rate).

    Args:
        tasks: the tasks in order.
        units: width of each tower's layers; empty leaves the head alone.
        dropout: share of each layer's outputs that training sets to 0.
        seed: of kernels and dropout.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        units: tuple[int, ...] = (),
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tasks = list(tasks)
        self.units = tuple(units)
        self.dropout_rate = dropout
        self.seed = seed
        self.stack = Experts(
            len(self.tasks), self.units, dropout, seed=derive_seed(seed, "towers"), name="towers"
        )
        self.heads = [
            keras.layers.Dense(
                1,
                name=f"head_{i}",
                kernel_initializer=keras.initializers.GlorotUniform(derive_seed(seed, "head", task.name)),
                bias_initializer=keras.initializers.Constant(KINDS[task.kind].initial_bias(task)),
            )
            for i, task in enumerate(self.tasks)
        ]

    def build(self, input_shape):
        self.stack.build(input_shape)
        for head in self.heads:
            head.build((None, self.units[-1] if self.units else input_shape[-1]))
        self.built = True

    def call(self, x, training=None):
        x = self.stack(x, training=training)
        return [head(x[:, i])[:, 0] for i, head in enumerate(self.heads)]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "tasks": [task.get_config() for task in self.tasks],
            "units": self.units,
            "dropout": self.dropout_rate,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Towers":
        return cls(**{**config, "tasks": [Task.from_config(task) for task in config["tasks"]]})
