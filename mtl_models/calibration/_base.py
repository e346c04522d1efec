"""What calibrators share: the interface, and the rows that they are fitted on."""

from typing import NamedTuple

import keras
import numpy as np

# How near to 0 and 1 the targets of labels come.
_LEAST = 1e-12


class CannotCalibrate(ValueError):
    """The rows do not determine a calibrator; says why.

    Example:
        >>> try:
        ...     PlattScaling.fit([0.0, 1.0], [1, 1])
        ... except CannotCalibrate as error:
        ...     print(error)
        its labels are all of one class
    """


class Calibrator(keras.layers.Layer):
    """From a task's logits in all data to calibrated logits, in float32 under any policy.

    What was fitted are arguments of the constructor, so a calibrator has no variables: a model's weights are
    the same with one and without, and `get_config` holds all of it. Each is strictly increasing: it never
    turns a ranking round or ties what was apart.

    Attributes:
        method: its name in a recipe.
        kinds: the kinds of task that it fits.
    """

    method: str
    kinds: tuple[str, ...] = ("binary",)

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.built = True

    @classmethod
    def fit(cls, logits, labels, weights=None, kind: str = "binary") -> "Calibrator":
        """The calibrator of these rows, computed in float64.

        Args:
            logits: [N]; of a multiclass task [N, K], of an ordinal one [N, K - 1].
            labels: [N], 0 and 1, or classes.
            weights: [N], at least 0: a row of weight 2 counts as two, one of weight 0 as none; None: all 1.
            kind: of the task.

        Raises:
            CannotCalibrate: see there.
        """
        raise NotImplementedError(f"{cls.__name__} must define fit")

    @property
    def parameters(self) -> dict:
        """What was fitted, in short, as plain JSON values."""
        raise NotImplementedError(f"{type(self).__name__} must define parameters")

    def get_build_config(self) -> None:
        """None: there is nothing to build."""


class Rows(NamedTuple):
    """Rows with weight, in float64: logits [N] or [N, K], labels [N], and weights [N]."""

    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def targets(self) -> tuple[float, float]:
        """What labels 0 and 1 are taken for: `1 / (N₋ + 2)` and `(N₊ + 1) / (N₊ + 2)` (Platt 1999, section
        2.2), so that no finite number of rows makes anything certain. N adds up weights."""
        positives = float(self.weights @ self.labels)
        negatives = float(self.weights.sum() - positives)
        # a weight may be any float32, and above 10^16 the upper would be rounded to 1
        return max(1.0 / (negatives + 2.0), _LEAST), min((positives + 1.0) / (positives + 2.0), 1.0 - _LEAST)


def known_rows(logits, labels, weights) -> Rows:
    """The rows that a calibrator is fitted on.

    Raises:
        CannotCalibrate: if no row has weight, a number is not finite, or all labels are of one class.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64).reshape(-1)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    known = weights > 0
    if not known.any():
        raise CannotCalibrate("no row has a label and a weight above 0")
    logits, labels, weights = logits[known], labels[known], weights[known]
    for what, values in (("predictions", logits), ("labels", labels), ("weights", weights)):
        wrong = np.count_nonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if wrong:
            raise CannotCalibrate(f"{wrong:,} of its {len(values):,} {what} are not finite numbers")
    if (labels == labels[0]).all():
        raise CannotCalibrate("its labels are all of one class")
    # weights may be counts, or shares of something: those must not make a million rows look like ten
    return Rows(logits, labels, weights * max(1.0, len(weights) / weights.sum()))
