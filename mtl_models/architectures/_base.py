from collections.abc import Mapping, Sequence

import keras

from mtl_models.tasks import Task


class Architecture(keras.layers.Layer):
    """What shares and separates the tasks: a dense vector [B, D] to one vector a task, [B, T, d].

    The two halves are methods of their own, `features = separate(*share(x))`, so that gradients with
    respect to what the tasks share cost one cheap backward pass a task. A subclass defines both; the
    others have defaults:

    - `share(x)` -> `(z, rest)`: `z` is one tensor that all tasks read, the shared representation; `rest`,
      any nest, is what else `separate` needs of `x` (gate weights, experts of a task's own).
    - `separate(z, rest)` -> `(features, gates)`: [B, T, d], and for each gate its weights
      [B, experts it may use].
    - `reads_own_copy`: whether `separate` also takes `z` as a list of T copies of it, and makes task k's
      features of the k-th alone, and `couple` is the default: then one backward pass through what separates
      the tasks gives the gradients of all of them.
    - `couple(outputs)`: the towers' outputs to the tasks' outputs.
    - `tower_tasks()`: the tasks as the towers see them, whose outputs `couple` makes the tasks' of.
    - `penalty(features, outputs, labels, weights)`: what the architecture adds to the total loss.
    - `shared_variables()`: those of its variables that every task's loss may reach.
    - `gate_experts()`: the names of the experts that each gate may use.

    Variables belong to sublayers, which are called as layers: only those cast inputs and variables to the
    dtype policy, wherever they are called from. Sublayers take the policy of the architecture.

    The constructor of a subclass takes only what a recipe sets: annotated keyword arguments with literal
    defaults, described in its `Args:` section; `units` is what each output's width comes from. Which tasks
    there are, and the seed, come from the model through `bind`, before the layer is built.

    Input: [B, D]. Output: [B, T, d].

    Raises:
        NotImplementedError: where a subclass does not define `separate`.

    Example:
        >>> import numpy as np
        >>> from keras import ops
        >>> from mtl_models import Architecture, Task
        >>> class InputsAlone(Architecture):
        ...     units = ()
        ...
        ...     def separate(self, z, rest, training=None):
        ...         return ops.repeat(z[:, None], len(self.tasks), axis=1), {}
        >>> layer = InputsAlone()
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 5)
    """

    reads_own_copy = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tasks: tuple[Task, ...] = ()
        self.task_names: tuple[str, ...] = ()
        self.seed = 0

    def bind(self, tasks: Sequence[Task], seed: int) -> None:
        """Sets the tasks, whose names also name the gates, and the seed of every weight.

        Raises:
            ValueError: if the layer was already built, by another model, or a setting does not fit the
                tasks.
        """
        if self.built:
            raise ValueError(f"{type(self).__name__} is already part of a model; give each model its own")
        if not tasks:
            raise ValueError(f"{type(self).__name__} needs at least one task")
        self.tasks = tuple(tasks)
        self.task_names = tuple(task.name for task in tasks)
        self.seed = seed

    def share(self, x, training=None):
        """`(z, rest)` of x [B, D]; by default nothing is shared but x itself."""
        return x, None

    def separate(self, z, rest, training=None):
        """`(features [B, T, d], gates)`: for each gate its weights [B, experts it may use]."""
        raise NotImplementedError(f"{type(self).__name__} must define separate")

    def forward(self, x, training=None):
        """`(features, gates)` of x [B, D]: `separate(*share(x))`."""
        return self.separate(*self.share(x, training), training)

    def call(self, x, training=None):
        return self.forward(x, training)[0]

    def couple(self, outputs: list, side: Mapping | None = None) -> list:
        """The tasks' outputs from the towers' outputs, in float32; by default they are the same.

        Args:
            outputs: T tensors [B] or [B, K], as the towers give them.
            side: inputs of a row beyond its features, by name.
        """
        return outputs

    def tower_tasks(self) -> tuple[Task, ...]:
        """What each tower predicts before `couple`: its kind, and where its output starts; by default the
        tasks themselves."""
        return self.tasks

    def penalty(self, features, outputs: list, labels: list, weights: list):
        """A scalar, added to the total loss; by default 0. Of a batch that is divided among replicas it is this
        replica's share, as `weighted_mean` gives it (see `mtl_models.replicas`).

        Args:
            features: [B, T, d], what the towers read.
            outputs: T tensors in float32, the towers' outputs before `couple`.
            labels: T tensors [B]; any finite number where the row's weight is 0.
            weights: T tensors [B]. A task whose weights are all 0 contributes exactly nothing.
        """
        return 0.0

    def shared_variables(self) -> list:
        """The variables that every task's loss may reach; by default none."""
        return []

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
