"""What differs between kinds of task inside the model: target, output bias and prediction.

A new kind is one more class here, its losses in `losses/`, and its name in `tasks.LOSSES_BY_KIND`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from keras import ops

from mtl_models.losses import LOSSES
from mtl_models.losses.cumulative_logit import cumulative_log_probabilities
from mtl_models.regression_forms import FORMS
from mtl_models.side import needed
from mtl_models.tasks import Task

_LEAST_SHARE = 1e-6


class Kind(ABC):
    """Of all kinds: one output, trained on the label itself, starting from 0."""

    def units(self, task: Task) -> int:
        """How many numbers the task's tower puts out."""
        return 1

    def scalar(self, task: Task) -> bool:
        """Whether outputs are [B], not [B, units]."""
        return self.units(task) == 1

    def initial_bias(self, task: Task) -> float | list[float]:
        """What the outputs start from: a number, or one for each where there are several."""
        return 0.0

    def target(self, task: Task, label, side: Mapping | None = None):
        """What the loss compares outputs with, [B].

        Args:
            task: the task.
            label: [B], in the label's own units.
            side: inputs of the batch by name, such as `duration` [B].
        """
        return label

    def logits(self, task: Task, output):
        """Outputs [B] or [B, units] as they are in all data: what calibrators are fitted on and given."""
        return output

    @abstractmethod
    def prediction(self, task: Task, output, side: Mapping | None = None, calibrator=None):
        """[B], or [B, K] probabilities, of outputs [B] or [B, units].

        Args:
            task, output, side: as for `target`.
            calibrator: what maps `logits` before they become probabilities; None: nothing does.
        """

    def _calibrated(self, task: Task, output, calibrator):
        logits = self.logits(task, output)
        return logits if calibrator is None else calibrator(logits)


class Binary(Kind):
    """Outputs are logits, of the data as sampled; predictions are probabilities in all data."""

    def initial_bias(self, task: Task) -> float:
        if task.offset is None:
            return 0.0
        return math.log(task.offset / (1.0 - task.offset))

    def logits(self, task: Task, output):
        return output if task.negatives_kept is None else output + math.log(task.negatives_kept)

    def prediction(self, task: Task, output, side: Mapping | None = None, calibrator=None):
        return ops.sigmoid(self._calibrated(task, output, calibrator))


class Regression(Kind):
    """Outputs are what the loss's form makes of labels; predictions are in the label's units."""

    def units(self, task: Task) -> int:
        return FORMS[task.loss].units

    def initial_bias(self, task: Task) -> float | list[float]:
        return FORMS[task.loss].initial_bias(task)

    def target(self, task: Task, label, side: Mapping | None = None):
        return FORMS[task.loss].target(task, label, side)

    def prediction(self, task: Task, output, side: Mapping | None = None, calibrator=None):
        return FORMS[task.loss].prediction(task, output, side)


class Multiclass(Kind):
    """Outputs are K logits; predictions their softmax."""

    def units(self, task: Task) -> int:
        return task.classes

    def initial_bias(self, task: Task) -> list[float]:
        return [math.log(max(share, _LEAST_SHARE)) for share in _shares(task)]

    def prediction(self, task: Task, output, side: Mapping | None = None, calibrator=None):
        return ops.softmax(self._calibrated(task, output, calibrator), axis=-1)


class Ordinal(Kind):
    """Outputs are K - 1 logits of P(y > k), descending; predictions the K classes' probabilities."""

    def units(self, task: Task) -> int:
        return task.classes - 1

    def scalar(self, task: Task) -> bool:
        return False

    def initial_bias(self, task: Task) -> list[float]:
        shares = [max(share, _LEAST_SHARE) for share in _shares(task)]
        above = [sum(shares[k:]) / sum(shares) for k in range(1, task.classes)]
        return [math.log(p / (1.0 - p)) for p in above]

    def prediction(self, task: Task, output, side: Mapping | None = None, calibrator=None):
        return ops.exp(cumulative_log_probabilities(self._calibrated(task, output, calibrator)))


KINDS = {"binary": Binary(), "regression": Regression(), "multiclass": Multiclass(), "ordinal": Ordinal()}


def row_losses(task: Task, label, output, weight, side: Mapping | None = None):
    """A task's loss of every row, [B].

    Args:
        task: the task.
        label: [B], in the label's own units; finite also where it is not known.
        output: [B], or [B, units].
        weight: [B], 0 where the label is not known.
        side: inputs of the batch by name; its task's loss may need `request` or `duration`, [B].

    Raises:
        KeyError: if an input that the loss needs is not there.
    """
    given = {**(side or {}), "weight": weight}
    loss = LOSSES[task.loss]
    extra = {name: getattr(task, name) for name in getattr(loss, "settings", ())}
    extra = {name: value for name, value in extra.items() if value is not None}
    for name in getattr(loss, "side", ()):
        extra[name] = needed(given, name, task)
    return loss(KINDS[task.kind].target(task, label, side), output, **extra)


def side_inputs(tasks) -> tuple[str, ...]:
    """The inputs that tasks need of a batch beside the model's own: `duration`, `request`."""
    found = {name for task in tasks for name in getattr(LOSSES[task.loss], "side", ())}
    found |= {"duration" for task in tasks if task.loss == "duration_quantile"}
    return tuple(sorted(found - {"weight"}))


def _shares(task: Task) -> tuple[float, ...]:
    return task.shares or (1.0 / task.classes,) * task.classes
