from collections.abc import Sequence

import keras


class Architecture(keras.layers.Layer):
    """What shares and separates the tasks: a dense vector [B, D] to one vector a task, [B, T, d].

    The constructor of a subclass takes only what a recipe sets: annotated keyword arguments with literal
    defaults, described in its `Args:` section; `units` is what each output's width
    comes from. Which tasks there are, and the seed, come from the model through `bind`, before the layer
    is built.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tasks: tuple[str, ...] = ()
        self.seed = 0

    def bind(self, tasks: Sequence[str], seed: int) -> None:
        """Sets the tasks' names, which also name the gates, and the seed of every weight.

        Raises:
            ValueError: if the layer was already built, by another model.
        """
        if self.built:
            raise ValueError(f"{type(self).__name__} is already part of a model; give each model its own")
        if not tasks:
            raise ValueError(f"{type(self).__name__} needs at least one task")
        self.tasks = tuple(tasks)
        self.seed = seed

    def call(self, x, training=None):
        return self.forward(x, training)[0]

    def forward(self, x, training=None):
        """`(outputs, gates)`: [B, T, d], and for each gate its weights [B, experts it may use]."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], len(self.tasks), self.units[-1] if self.units else input_shape[-1])

    def get_build_config(self) -> None:
        """None: the model builds this layer, once it has bound it."""

    def gate_weights(self, x) -> dict:
        """For each gate, the weight it gives each of `gate_experts()[gate]`: [B, experts]."""
        return self.forward(x, training=False)[1]

    def gate_experts(self) -> dict[str, list[str]]:
        """For each gate, the names of the experts it may use; no gates: an empty dict."""
        return {}
