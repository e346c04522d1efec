"""What differs between kinds of task inside the model: target, output bias and prediction.

A new kind (multiclass, ordinal) is one more class here, its losses in `losses/`, and its name in
`tasks.LOSSES_BY_KIND`.
"""

import math

from keras import ops

from mtl_models.tasks import Task


class Binary:
    """Outputs are logits, of the data as sampled; predictions are probabilities in all data."""

    def target(self, task: Task, label):
        return label

    def initial_bias(self, task: Task) -> float:
        if task.offset is None:
            return 0.0
        return math.log(task.offset / (1.0 - task.offset))

    def prediction(self, task: Task, output):
        if task.negatives_kept is not None:
            output = output + math.log(task.negatives_kept)
        return ops.sigmoid(output)


class Regression:
    """Outputs are scaled labels; predictions are in the label's units."""

    def target(self, task: Task, label):
        return (label - (task.offset or 0.0)) / (task.scale or 1.0)

    def initial_bias(self, task: Task) -> float:
        return 0.0

    def prediction(self, task: Task, output):
        return output * (task.scale or 1.0) + (task.offset or 0.0)


KINDS = {"binary": Binary(), "regression": Regression()}
