"""Metrics that are functions of sums over rows, each kind of task with its terms.

A row adds to a few of a task's terms; sums of terms may be added in any order and over any split of the
rows, so the same terms serve TensorFlow Model Analysis, slices and bootstrap replicates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Probabilities are kept this far from 0 and 1 in the log loss, as Keras keeps them.
LOG_LOSS_EPSILON = 1e-7
# Guo et al. 2017 measure calibration in 15 bins.
CALIBRATION_BINS = 15

Formula = Callable[[np.ndarray], np.ndarray]
# Which rows, to which term each adds, and what: three vectors of one length.
Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, NaN where bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


def gather_entries(*parts: tuple[np.ndarray | int, np.ndarray]) -> Entries:
    """(terms, values) of all rows, part after part; what adds 0 is left out."""
    kept = [(np.flatnonzero(values), terms, values) for terms, values in parts]
    return (
        np.concatenate([rows for rows, _, _ in kept]),
        np.concatenate([np.broadcast_to(terms, values.shape)[rows] for rows, terms, values in kept]),
        np.concatenate([values[rows] for rows, _, values in kept]),
    )


class RowTerms(ABC):
    """What rows of one kind of task add up.

    Attributes:
      size: how many terms there are.
      metrics: name -> formula, from sums `[..., size]` to values `[...]`, NaN where undefined.
    """

    size: int
    metrics: Mapping[str, Formula]

    @abstractmethod
    def entries(self, labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Entries:
        """What rows add: (rows, terms, values), each `(m,)`.

        Args:
          labels, weights: (n,) float; weights are above 0.
          predictions: (n,) float, or (n, classes).
        """

    def sums(self, labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(size,) sums over rows of weight above 0; what stands in the others is not looked at."""
        kept = np.asarray(weights) > 0
        columns = (np.asarray(a, np.float64)[kept] for a in (labels, predictions, weights))
        _, terms, values = self.entries(*columns)
        return np.bincount(terms, values, minlength=self.size)


def equal_mass_edges(scores: np.ndarray, bins: int = CALIBRATION_BINS) -> tuple[float, ...]:
    """The inner edges, ascending, of bins that hold as many of the scores each, as far as ties allow."""
    if len(scores) == 0:
        return ()
    return tuple(np.unique(np.quantile(scores, np.arange(1, bins) / bins)).tolist())


@dataclass(frozen=True)
class Bins:
    """Sums of w, w y and w p by bin of the score p (an edge belongs to the bin below), one after another.

    Attributes:
      edges: ascending; one fewer than there are bins.
      first: the first of its 3 x bins terms.
    """

    edges: tuple[float, ...]
    first: int

    @property
    def count(self) -> int:
        return len(self.edges) + 1

    def entries(self, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> list:
        at = self.first + np.searchsorted(self.edges, scores)
        return [(at, weights), (at + self.count, weights * labels), (at + 2 * self.count, weights * scores)]

    def of(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight, sum of labels and sum of scores of each bin, `[..., bins]`."""
        n, first = self.count, self.first
        return tuple(sums[..., first + i * n : first + (i + 1) * n] for i in range(3))

    def totals(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight, sum of labels and sum of scores of all bins, `[...]`."""
        return tuple(part.sum(axis=-1) for part in self.of(sums))

    def error(self, sums: np.ndarray) -> np.ndarray:
        """Expected calibration error: the bins' |mean p - mean y|, by weight (Guo et al. 2017, eq. 3)."""
        weight, label, score = self.of(sums)
        return ratio(np.abs(score - label).sum(axis=-1), weight.sum(axis=-1))


def entropy(shares: np.ndarray) -> np.ndarray:
    """- sum p log p over the last axis."""
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1)


@dataclass(frozen=True)
class BinaryTerms(RowTerms):
    """A probability of a label that is 0 or 1.

    `normalized_entropy` is the log loss over that of the mean label (He et al. 2014, eq. 1); `calibration`
    the sum of predictions over that of labels.

    Attributes:
      edges: inner edges of the calibration bins.
    """

    edges: tuple[float, ...] = ()

    @cached_property
    def bins(self) -> Bins:
        return Bins(self.edges, 2)

    @property
    def size(self) -> int:
        return 2 + 3 * self.bins.count

    def entries(self, labels, predictions, weights):
        p = np.clip(predictions, LOG_LOSS_EPSILON, 1.0 - LOG_LOSS_EPSILON)
        log_loss = -(labels * np.log(p) + (1.0 - labels) * np.log1p(-p))
        return gather_entries(
            (0, np.ones(len(labels))),
            (1, weights * log_loss),
            *self.bins.entries(labels, predictions, weights),
        )

    @property
    def metrics(self):
        totals = self.bins.totals

        def normalized_entropy(s):
            weight, label, _ = totals(s)
            mean = ratio(label, weight)
            return ratio(ratio(s[..., 1], weight), entropy(np.stack([mean, 1.0 - mean], axis=-1)))

        return {
            "logloss": lambda s: ratio(s[..., 1], totals(s)[0]),
            "normalized_entropy": normalized_entropy,
            "calibration": lambda s: ratio(totals(s)[2], totals(s)[1]),
            "ece": self.bins.error,
            "mean_label": lambda s: ratio(totals(s)[1], totals(s)[0]),
            "mean_prediction": lambda s: ratio(totals(s)[2], totals(s)[0]),
            "examples": lambda s: s[..., 0],
            "weighted_examples": lambda s: totals(s)[0],
        }


@dataclass(frozen=True)
class RegressionTerms(RowTerms):
    """A quantity.

    Attributes:
      center: labels and predictions are summed as differences from it, so that `r2` does not lose its
        digits where labels are far from 0; the labels' median, for `constant_mae`.
      quantile: of `quantile_loss`, the mean of max(q (y - p), (q - 1) (y - p)).
    """

    center: float = 0.0
    quantile: float = 0.5
    size = 9

    def entries(self, labels, predictions, weights):
        y, p, error = labels - self.center, predictions - self.center, labels - predictions
        pinball = np.maximum(self.quantile * error, (self.quantile - 1.0) * error)
        terms = (np.ones(len(labels)), y, p, np.abs(error), error**2, y**2, pinball, np.abs(y))
        return gather_entries(
            (0, np.ones(len(labels))), *((i, weights * term) for i, term in enumerate(terms, start=1))
        )

    def constant_mae(self, sums: np.ndarray) -> np.ndarray:
        """Mean |y - center|: of the constant that has the least, no model should have more."""
        return ratio(sums[..., 8], sums[..., 1])

    @property
    def metrics(self):
        def sum_of(term):
            return lambda s: s[..., term] + self.center * s[..., 1]

        def mean(term):
            return lambda s: ratio(s[..., term], s[..., 1])

        label, prediction = sum_of(2), sum_of(3)

        def r2(s):
            spread = s[..., 6] - s[..., 1] * mean(2)(s) ** 2
            # What is left of equal labels is rounding, no spread.
            return 1.0 - ratio(s[..., 5], np.where(spread > 1e-13 * s[..., 6], spread, 0.0))

        return {
            "mae": mean(4),
            "rmse": lambda s: np.sqrt(mean(5)(s)),
            "r2": r2,
            "quantile_loss": mean(7),
            "calibration": lambda s: ratio(prediction(s), label(s)),
            "mean_label": lambda s: ratio(label(s), s[..., 1]),
            "mean_prediction": lambda s: ratio(prediction(s), s[..., 1]),
            "examples": lambda s: s[..., 0],
            "weighted_examples": lambda s: s[..., 1],
        }
