import keras

from mtl_models.architectures._base import Architecture
from mtl_models.architectures._mixing import mix
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts
from mtl_models.layers.gates import Gates
from mtl_models.layers.joint_products import joint_products
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class MMoE(Architecture):
    """Multi-gate mixture of experts (Ma et al. 2018, section 4.2): shared experts, one softmax gate a task.

    Task `k` receives `Σ_i g_k(x)_i f_i(x)` with the gate `g_k(x) = softmax(W_k x)`. With one
    expert it is `HardSharing`. Use it where tasks are related but not alike; watch the gates for experts
    that no task uses.

    Args:
        experts: how many experts.
        units: width of each layer of an expert.
        dropout: share of each layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]]. A gate has its task's name.

    Raises:
        ValueError: if a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import MMoE, Task
        >>> layer = MMoE(experts=4, units=(8,))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 8)
    """

    reads_own_copy = True
    BOUNDS = {"experts": (1, 1024), "units": (1, 100_000), "dropout": (0.0, 0.99)}

    def __init__(self, experts: int = 8, units: tuple[int, ...] = (64,), dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.experts = experts
        self.units = tuple(units)
        self.dropout = dropout
        check_bounds(self)

    def build(self, input_shape):
        self.expert_stack = Experts(
            self.experts,
            self.units,
            self.dropout,
            seed=derive_seed(self.seed, "experts"),
            name="experts",
            dtype=self.dtype_policy,
        )
        self.gates = Gates(
            len(self.tasks),
            self.experts,
            seed=derive_seed(self.seed, "gates"),
            name="gates",
            dtype=self.dtype_policy,
        )
        self.expert_stack.build(input_shape)
        self.gates.build(input_shape)
        self.built = True

    def share(self, x, training=None):
        of_experts, of_gates = joint_products(x, [self.expert_stack, self.gates])
        return self.expert_stack(x, of_experts, training=training), self.gates(x, of_gates)

    def separate(self, z, rest, training=None):
        return mix(rest, z), {name: rest[:, i] for i, name in enumerate(self.task_names)}

    def shared_variables(self) -> list:
        return self.expert_stack.trainable_variables

    def gate_experts(self) -> dict[str, list[str]]:
        return {task: [f"expert_{i}" for i in range(self.experts)] for task in self.task_names}

    def get_config(self) -> dict:
        return {**super().get_config(), "experts": self.experts, "units": self.units, "dropout": self.dropout}
