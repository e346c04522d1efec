import keras
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.architectures._mixing import mix
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts
from mtl_models.layers.gates import Gates
from mtl_models.layers.joint_products import joint_products
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class PLE(Architecture):
    """Progressive layered extraction (Tang et al. 2020, section 4.2): experts shared, and of each task's own.

    At each level a task's gate mixes its own experts with the shared ones, of what it received from the level
    below: `x'_k = Σ_i softmax(W_k x_k)_i e_i`, where own experts read `x_k` and shared ones the shared
    mixture; below the last level a shared gate mixes all of them into the next shared one. One level is the
    paper's CGC; one level without own experts is `MMoE`. Use it where tasks conflict: what is a task's own
    cannot be pulled by another. What the tasks share is the shared experts' outputs of the last level.

    Args:
        levels: how many levels of experts.
        task_experts: experts of each task's own, at each level.
        shared_experts: experts shared by all tasks, at each level.
        units: width of each layer of an expert.
        dropout: share of each layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]]. Gates are named `level_<n>/<task>` and `level_<n>/shared`.

    Raises:
        ValueError: if there would be no level or no expert, or a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import PLE, Task
        >>> layer = PLE(levels=2, task_experts=1, shared_experts=2, units=(8,))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 8)
        >>> layer.gate_experts()["level_2/like"]
        ['like_0', 'shared_0', 'shared_1']
    """

    BOUNDS = {
        "levels": (1, 16),
        "task_experts": (0, 1024),
        "shared_experts": (0, 1024),
        "units": (1, 100_000),
        "dropout": (0.0, 0.99),
    }

    def __init__(
        self,
        levels: int = 2,
        task_experts: int = 2,
        shared_experts: int = 2,
        units: tuple[int, ...] = (64,),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if levels < 1 or task_experts < 0 or shared_experts < 0 or task_experts + shared_experts < 1:
            raise ValueError(
                f"PLE needs at least one level and one expert; it has levels={levels}, "
                f"task_experts={task_experts}, shared_experts={shared_experts}"
            )
        if levels > 1 and shared_experts < 1:
            raise ValueError(f"PLE with {levels} levels needs at least one shared expert")
        self.levels = levels
        self.task_experts = task_experts
        self.shared_experts = shared_experts
        self.units = tuple(units)
        self.dropout = dropout
        check_bounds(self)

    def build(self, input_shape):
        tasks, own, shared = len(self.tasks), self.task_experts, self.shared_experts
        # experts of the tasks' own, in the tasks' order, are one stack and the shared ones another, so
        # that no variable holds both what every task trains and what one task trains
        self.own_stacks, self.shared_stacks, self.gates, self.shared_gates = [], [], [], []
        width = input_shape[-1]
        for level in range(self.levels):
            one, per_task = (None, width), (None, width) if level == 0 else (None, tasks, width)
            if own:
                self.own_stacks.append(self._experts(level, "own", tasks * own, per_task))
            if shared:
                self.shared_stacks.append(self._experts(level, "shared", shared, one))
            self.gates.append(self._gates(level, "gates", tasks, own + shared, per_task))
            if level < self.levels - 1:
                self.shared_gates.append(self._gates(level, "shared_gate", 1, tasks * own + shared, one))
            width = self.units[-1] if self.units else width
        self.built = True

    def _experts(self, level: int, role: str, experts: int, input_shape) -> Experts:
        layer = Experts(
            experts,
            self.units,
            self.dropout,
            seed=derive_seed(self.seed, level, role),
            name=f"{role}_{level + 1}",
            dtype=self.dtype_policy,
        )
        layer.build(input_shape)
        return layer

    def _gates(self, level: int, role: str, gates: int, experts: int, input_shape) -> Gates:
        layer = Gates(
            gates,
            experts,
            seed=derive_seed(self.seed, level, role),
            name=f"{role}_{level + 1}",
            dtype=self.dtype_policy,
        )
        layer.build(input_shape)
        return layer

    @property
    def reads_own_copy(self) -> bool:
        return self.shared_experts > 0

    def share(self, x, training=None):
        if not self.shared_experts:
            return x, None
        per_task, common, uses = x, x, {}
        # at the first level all read the same
        first = [*self.own_stacks[:1], self.shared_stacks[0], self.gates[0], *self.shared_gates[:1]]
        known = dict(zip(map(id, first), joint_products(x, first)))
        for level in range(self.levels):
            own = None
            if self.task_experts:
                stack = self.own_stacks[level]
                own = stack(per_task, known.get(id(stack)), training=training)
            stack, gates = self.shared_stacks[level], self.gates[level]
            shared = stack(common, known.get(id(stack)), training=training)
            weights = gates(per_task, known.get(id(gates)))
            uses |= self._by_name(level, weights)
            if level < self.levels - 1:
                every = shared if own is None else ops.concatenate([own, shared], axis=1)
                gate = self.shared_gates[level]
                common_weights = gate(common, known.get(id(gate)))
                uses[f"level_{level + 1}/{self._shared_name()}"] = common_weights[:, 0]
                per_task = self._mix(weights, own, shared)
                common = ops.einsum("bge,beu->bgu", common_weights, every)[:, 0]
        return shared, (own, weights, uses)

    def separate(self, z, rest, training=None):
        if not self.shared_experts:
            weights = self.gates[0](z)
            own = self.own_stacks[0](z, training=training)
            return self._mix(weights, own, None), self._by_name(0, weights)
        own, weights, uses = rest
        return self._mix(weights, own, z), uses

    def _mix(self, weights, own, shared):
        """Each task's mixture [B, T, d] of its own experts' outputs and the shared ones'."""
        mixed = 0.0
        if own is not None:
            by_task = ops.reshape(own, (-1, len(self.tasks), self.task_experts, own.shape[-1]))
            mixed += ops.einsum("bte,bteu->btu", weights[:, :, : self.task_experts], by_task)
        if shared is not None:
            mixed += mix(weights[:, :, self.task_experts :], shared)
        return mixed

    def _by_name(self, level: int, weights) -> dict:
        return {f"level_{level + 1}/{name}": weights[:, i] for i, name in enumerate(self.task_names)}

    def _shared_name(self) -> str:
        """What is no task's: "shared", unless a task is called that."""
        name = "shared"
        while name in self.task_names:
            name += "_"
        return name

    def shared_variables(self) -> list:
        """All experts and shared gates below the last level, and the shared experts of the last.

        What a task's gate mixes reaches the others through the next level's shared gate, so two levels
        above it are needed.
        """
        below = [
            *self.own_stacks[: self.levels - 1],
            *self.gates[: max(self.levels - 2, 0)],
            *self.shared_gates,
        ]
        return [v for layer in [*below, *self.shared_stacks] for v in layer.trainable_variables]

    def gate_experts(self) -> dict[str, list[str]]:
        shared = [f"{self._shared_name()}_{i}" for i in range(self.shared_experts)]
        own = {name: [f"{name}_{i}" for i in range(self.task_experts)] for name in self.task_names}
        every_expert = [expert for experts in own.values() for expert in experts] + shared
        names = {}
        for level in range(1, self.levels + 1):
            names |= {f"level_{level}/{name}": own[name] + shared for name in self.task_names}
            if level < self.levels:
                names[f"level_{level}/{self._shared_name()}"] = every_expert
        return names

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "levels": self.levels,
            "task_experts": self.task_experts,
            "shared_experts": self.shared_experts,
            "units": self.units,
            "dropout": self.dropout,
        }
