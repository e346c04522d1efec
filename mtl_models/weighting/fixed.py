import keras
from keras import ops

from mtl_models.weighting._base import Weighting


@keras.saving.register_keras_serializable("mtl_models")
class Fixed(Weighting):
    """The weights one gives, one a task, throughout training.

    `w_k = weights_k`: linear scalarization (Boyd & Vandenberghe, "Convex optimization", 2004, section 4.7.4).
    Needs nothing but numbers from a search: it multiplies each
    task's `loss_weight`, so that a search over weights leaves what tasks are worth as it is. It helps when
    weights found once are to be kept; it hurts when the losses' scales change later.

    Args:
        weights: one number for each task, in the order of the tasks, at least 0.

    Raises:
        ValueError: for a negative weight, or, once bound, for another number of weights than of tasks.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Fixed, Task
        >>> weighting = Fixed((1.0, 0.25))
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> np.asarray(weighting(np.array([0.7, 20.0], "float32"))).tolist()
        [1.0, 0.25]
    """

    BOUNDS = {"weights": (0.0, 1e6)}

    def __init__(self, weights: tuple[float, ...], **kwargs):
        super().__init__(**kwargs)
        self.weights_of_tasks = tuple(float(w) for w in weights)
        for weight in self.weights_of_tasks:
            if not 0.0 <= weight <= 1e6:
                raise ValueError(f"Fixed: weights must be between 0.0 and 1000000.0; one is {weight}")

    def bind(self, tasks) -> None:
        super().bind(tasks)
        if len(self.weights_of_tasks) != len(self.tasks):
            names = ", ".join(task.name for task in self.tasks)
            raise ValueError(
                f"Fixed: weights has {len(self.weights_of_tasks)} numbers; it needs one for each of the "
                f"{len(self.tasks)} tasks, in this order: {names}"
            )

    def weigh(self, losses, gram, present, training):
        return ops.convert_to_tensor(self.weights_of_tasks, dtype="float32")

    def get_config(self) -> dict:
        return {**super().get_config(), "weights": self.weights_of_tasks}
