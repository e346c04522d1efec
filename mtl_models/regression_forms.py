"""How each loss of a regression sees labels: target, first outputs and prediction."""

import math
from collections.abc import Mapping

from keras import ops

from mtl_models.losses.ziln import LEAST_SIGMA, ziln_parts
from mtl_models.side import needed
from mtl_models.tasks import Task

# exp of more is not finite in float32
_LARGEST_EXPONENT = 80.0
# of a variable that is uniform between 0 and 1: deviation 1 after scaling, as other targets have
_UNIFORM_SCALE = 1.0 / math.sqrt(12.0)


class Linear:
    """Outputs are scaled labels: mse, mae, huber."""

    units = 1

    def initial_bias(self, task: Task) -> float:
        return 0.0

    def target(self, task: Task, label, side: Mapping | None = None):
        return (label - (task.offset or 0.0)) / (task.scale or 1.0)

    def prediction(self, task: Task, output, side: Mapping | None = None):
        return output * (task.scale or 1.0) + (task.offset or 0.0)


class Log(Linear):
    """Outputs are the scaled log1p of labels; predictions at least 0.

    `exp(f) S - 1`, where f is the predicted log1p and S is `Task.smearing`: without it the exponential of a
    mean of logarithms, which is below the mean (and is the median where errors of the log are symmetric).
    """

    def target(self, task: Task, label, side: Mapping | None = None):
        return super().target(task, ops.log1p(ops.maximum(label, 0.0)))

    def prediction(self, task: Task, output, side: Mapping | None = None):
        log = ops.minimum(super().prediction(task, output), _LARGEST_EXPONENT)
        if task.smearing is None:
            return ops.relu(ops.expm1(log))
        return ops.relu(task.smearing * ops.exp(log) - 1.0)


class Odds(Linear):
    """Outputs are logits whose odds are the label in units of `Task.scale`: weighted_logistic."""

    def target(self, task: Task, label, side: Mapping | None = None):
        return ops.maximum(label, 0.0) / (task.scale or 1.0)

    def prediction(self, task: Task, output, side: Mapping | None = None):
        return (task.scale or 1.0) * ops.exp(ops.minimum(output, _LARGEST_EXPONENT))


class ZeroInflated:
    """Three outputs of labels in units of `Task.scale`: see `losses.ziln`."""

    units = 3

    def initial_bias(self, task: Task) -> list[float]:
        bought = min(max(task.shares[1], 1e-6), 1 - 1e-6) if task.shares else 0.5
        return [math.log(bought / (1.0 - bought)), 0.0, math.log(math.expm1(1.0 - LEAST_SIGMA))]

    def target(self, task: Task, label, side: Mapping | None = None):
        return ops.maximum(label, 0.0) / (task.scale or 1.0)

    def prediction(self, task: Task, output, side: Mapping | None = None):
        bought, mu, sigma = ziln_parts(output)
        exponent = ops.minimum(mu + 0.5 * ops.square(sigma), _LARGEST_EXPONENT)
        return (task.scale or 1.0) * ops.sigmoid(bought) * ops.exp(exponent)


class DurationQuantile:
    """Outputs are the scaled quantile of watch time within a group of durations: see
    `losses.duration_quantile`. Needs the input `duration`, [B]; NaN where it is not known."""

    units = 1

    def initial_bias(self, task: Task) -> float:
        return 0.0

    def target(self, task: Task, label, side: Mapping | None = None):
        """A label between two quantiles has a level between theirs, and one that is equal to several
        quantiles the middle of their levels, so that `prediction` gives the label back."""
        table = _tables(task, side)
        label = ops.expand_dims(ops.cast(label, table.dtype), -1)
        last = table.shape[-1] - 1
        upper = ops.sum(ops.cast(table < label, "int32"), axis=-1)  # the first not below
        lower = ops.sum(ops.cast(table <= label, "int32"), axis=-1) - 1  # the last not above
        inside = ops.logical_and(lower >= 0, upper <= last)
        low, high = ops.clip(lower, 0, last), ops.clip(upper, 0, last)
        below, above = _pick(table, low), _pick(table, high)
        between = ops.logical_and(upper > lower, inside)
        width = ops.where(between, above - below, 1.0)
        share = ops.where(between, (label[:, 0] - below) / width, 0.5)
        # where quantiles are equal to the label, `upper` is the first of them and `lower` the last
        low, high = ops.cast(low, table.dtype), ops.cast(high, table.dtype)
        level = ops.where(inside, low + share * (high - low), ops.where(lower < 0, 0.0, float(last)))
        return (level / last - 0.5) / _UNIFORM_SCALE

    def prediction(self, task: Task, output, side: Mapping | None = None):
        table = _tables(task, side)
        last = table.shape[-1] - 1
        place = last * ops.clip(output * _UNIFORM_SCALE + 0.5, 0.0, 1.0)
        low = ops.clip(ops.cast(ops.floor(place), "int32"), 0, last - 1)
        below, above = _pick(table, low), _pick(table, low + 1)
        return below + (place - ops.cast(low, place.dtype)) * (above - below)


def _tables(task: Task, side: Mapping | None):
    """Each row's quantiles of watch time, [B, levels]."""
    duration = ops.reshape(ops.cast(needed(side, "duration", task), "float32"), (-1, 1))
    edges = ops.convert_to_tensor([task.duration_edges], "float32")
    known = ops.logical_not(ops.isnan(duration[:, 0]))
    group = ops.sum(ops.cast(duration > edges, "int32"), axis=-1)
    group = ops.where(known, group, len(task.duration_edges) + 1)
    return ops.take(ops.convert_to_tensor(task.watch_quantiles, "float32"), group, axis=0)


def _pick(table, column):
    """Of each row of [B, levels] the value at its column [B]."""
    return ops.take_along_axis(table, ops.expand_dims(column, -1), axis=-1)[:, 0]


FORMS = {
    "mse": Linear(),
    "mae": Linear(),
    "huber": Linear(),
    "log_mse": Log(),
    "weighted_logistic": Odds(),
    "duration_quantile": DurationQuantile(),
    "ziln": ZeroInflated(),
}
"""By loss."""
