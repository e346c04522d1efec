import keras
from keras import ops

from mtl_models.architectures._base import Architecture
from mtl_models.bounds import check_bounds
from mtl_models.layers.experts import Experts
from mtl_models.layers.gates import Gates
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class PLE(Architecture):
    """Progressive layered extraction (Tang et al. 2020): shared experts and experts of each task's own.

    At each level a task's gate mixes its own experts with the shared ones (eq. 1-4); below the last level
    a shared gate mixes all of them (eq. 7), and the mixtures are the next level's inputs. One level is
    the paper's CGC.

    Args:
        levels: how many levels of experts.
        task_experts: experts of each task's own, at each level.
        shared_experts: experts shared by all tasks, at each level.
        units: width of each layer of an expert.
        dropout: share of each layer's outputs that training sets to 0.

    Gates are named `level_<n>/<task>` and `level_<n>/shared`.

    Raises:
        ValueError: if there would be no level or no expert.
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
        tasks, own = len(self.tasks), self.task_experts
        # the task's own experts in the tasks' order, then the shared ones
        self.owners = [task for task in range(tasks) for _ in range(own)] + [tasks] * self.shared_experts
        self.visible = [
            [i for i, owner in enumerate(self.owners) if owner in (task, tasks)] for task in range(tasks)
        ]
        every_expert = list(range(len(self.owners)))
        self.expert_stacks, self.gates = [], []
        width = input_shape[-1]
        for level in range(self.levels):
            last = level == self.levels - 1
            experts = Experts(
                len(self.owners),
                self.units,
                self.dropout,
                seed=derive_seed(self.seed, level, "experts"),
                name=f"experts_{level + 1}",
            )
            gates = Gates(
                tasks if last else tasks + 1,
                len(self.owners),
                visible=self.visible if last else [*self.visible, every_expert],
                seed=derive_seed(self.seed, level, "gates"),
                name=f"gates_{level + 1}",
            )
            experts.build((None, width) if level == 0 else (None, len(self.owners), width))
            gates.build((None, width))
            self.expert_stacks.append(experts)
            self.gates.append(gates)
            width = self.units[-1] if self.units else width
        self.built = True

    def forward(self, x, training=None):
        uses = {}
        for level, (experts, gates) in enumerate(zip(self.expert_stacks, self.gates)):
            # x: [B, D] at the first level, then [B, tasks + 1, d] with the shared mixture last
            expert_inputs = x if level == 0 else ops.take(x, self.owners, axis=1)
            gate_inputs = x if level == 0 else x[:, : gates.gates]
            weights = gates(gate_inputs)
            for gate, name in enumerate(self._gate_names(level)):
                uses[name] = (
                    ops.take(weights[:, gate], self.visible[gate], axis=1)
                    if gate < len(self.tasks)
                    else weights[:, gate]
                )
            x = ops.einsum("bge,beu->bgu", weights, experts(expert_inputs, training=training))
        return x, uses

    def _gate_names(self, level: int) -> list[str]:
        shared = [] if level == self.levels - 1 else ["shared"]
        return [f"level_{level + 1}/{name}" for name in [*self.tasks, *shared]]

    def gate_experts(self) -> dict[str, list[str]]:
        shared = [f"shared_{i}" for i in range(self.shared_experts)]
        own = {task: [f"{task}_{i}" for i in range(self.task_experts)] for task in self.tasks}
        every_expert = [name for names in own.values() for name in names] + shared
        by_gate = [*(own[task] + shared for task in self.tasks), every_expert]
        return {
            gate: by_gate[i] for level in range(self.levels) for i, gate in enumerate(self._gate_names(level))
        }

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "levels": self.levels,
            "task_experts": self.task_experts,
            "shared_experts": self.shared_experts,
            "units": self.units,
            "dropout": self.dropout,
        }
