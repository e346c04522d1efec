import keras

from mtl_models.architectures.ple import PLE


@keras.saving.register_keras_serializable("mtl_models")
class CGC(PLE):
    """Customized gate control (Tang et al. 2020, section 4.1): each task's own experts beside shared ones.

    Task `k` receives `Σ_i w_k(x)_i e_i(x)` over its own experts and the shared ones, `w_k` a softmax
    gate: `PLE` of one level. Use it as the first thing to try after `MMoE` where tasks
    conflict: experts of a task's own cannot be pulled by another.

    Args:
        task_experts: experts of each task's own.
        shared_experts: experts shared by all tasks.
        units: width of each layer of an expert.
        dropout: share of each layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]]. Gates are named `level_1/<task>`.

    Raises:
        ValueError: if there would be no expert, or a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import CGC, Task
        >>> layer = CGC(task_experts=1, shared_experts=1, units=(8,))
        >>> layer.bind([Task("click", "binary"), Task("like", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> tuple(layer(np.ones((3, 5), "float32")).shape)
        (3, 2, 8)
        >>> layer.gate_experts()["level_1/like"]
        ['like_0', 'shared_0']
    """

    BOUNDS = {
        "task_experts": (0, 1024),
        "shared_experts": (0, 1024),
        "units": (1, 100_000),
        "dropout": (0.0, 0.99),
    }

    def __init__(
        self,
        task_experts: int = 2,
        shared_experts: int = 2,
        units: tuple[int, ...] = (64,),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(1, task_experts, shared_experts, units, dropout, **kwargs)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["levels"]
        return config
