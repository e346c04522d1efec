from collections.abc import Sequence

import keras
from keras import ops


class StepLog(keras.metrics.Metric):
    """What an epoch's steps showed: `loss`, and for each task `<task>_loss` and `<task>_weight`.

    The total is a mean over steps, a task's weight one over the steps with any row of it; a task's loss is
    its mean over the epoch's rows, each row with its weight. One vector holds them all, since a metric each
    would cost more than a small model's step.
    """

    def __init__(self, tasks: Sequence[str], **kwargs):
        super().__init__(**kwargs)
        self.tasks = tuple(tasks)
        size = 1 + 2 * len(self.tasks)
        # replicas that divide a batch all log the whole of it
        alike = {"initializer": "zeros", "aggregation": "only_first_replica"}
        self.totals = self.add_variable((size,), name="totals", **alike)
        self.counts = self.add_variable((size,), name="counts", **alike)

    def update_state(self, total, losses, task_weights, weight_sums):
        """Adds a step: the total loss (scalar), and losses, task weights, and sums of row weights, [T]."""
        present = ops.cast(weight_sums > 0, "float32")
        self.totals.assign_add(
            ops.concatenate([ops.reshape(total, (1,)), losses * weight_sums, present * task_weights])
        )
        self.counts.assign_add(ops.concatenate([ops.ones((1,)), weight_sums, present]))

    def result(self) -> dict:
        means = self.totals / ops.maximum(self.counts, 1e-12)
        size = len(self.tasks)
        return {
            "loss": means[0],
            **{f"{task}_loss": means[1 + i] for i, task in enumerate(self.tasks)},
            **{f"{task}_weight": means[1 + size + i] for i, task in enumerate(self.tasks)},
        }
