"""Sums over rows for tasks of several classes; see `row_sums`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.evaluation.row_sums import LOG_LOSS_EPSILON, Bins, RowTerms, entropy, gather_entries, ratio


@dataclass(frozen=True)
class ClassTerms(RowTerms):
    """Probabilities of classes 0, 1, ... of which the label is one; the most probable is the prediction.

    `ece` is of the most probable class (Guo et al. 2017): its probability against how often it is right.
    `normalized_entropy` is the log loss over the entropy of the labels' shares. `macro_f1` is the mean over
    the classes that occur as label or prediction; `quadratic_kappa` weighs a confusion of classes i and j
    by (i - j)^2 (Cohen 1968).

    Attributes:
      classes: how many there are.
      ordinal: whether they have an order; then there is `quadratic_kappa`, and `mae`, the mean distance of
        the expected class from the label.
      edges: inner edges of the calibration bins of the largest probability.
    """

    classes: int
    ordinal: bool = False
    edges: tuple[float, ...] = ()

    @cached_property
    def bins(self) -> Bins:
        return Bins(self.edges, 3 + self.classes**2)

    @property
    def size(self) -> int:
        return 3 + self.classes**2 + 3 * self.bins.count

    def entries(self, labels, predictions, weights):
        labels, chosen = labels.astype(np.int64), predictions.argmax(axis=1)
        likelihood = np.take_along_axis(predictions, labels[:, None], axis=1)[:, 0]
        log_loss = -np.log(np.clip(likelihood, LOG_LOSS_EPSILON, 1.0 - LOG_LOSS_EPSILON))
        return gather_entries(
            (0, np.ones(len(labels))),
            (1, weights * log_loss),
            (2, weights * np.abs(predictions @ np.arange(self.classes) - labels)),
            (3 + labels * self.classes + chosen, weights),
            *self.bins.entries((labels == chosen).astype(np.float64), predictions.max(axis=1), weights),
        )

    def confusion(self, sums: np.ndarray) -> np.ndarray:
        """Weights by (label, prediction), `[..., classes, classes]`."""
        flat = sums[..., 3 : 3 + self.classes**2]
        return flat.reshape(*flat.shape[:-1], self.classes, self.classes)

    @property
    def metrics(self):
        def weight(s):
            return self.confusion(s).sum(axis=(-1, -2))

        def normalized_entropy(s):
            shares = ratio(self.confusion(s).sum(axis=-1), weight(s)[..., None])
            return ratio(ratio(s[..., 1], weight(s)), entropy(shares))

        def macro_f1(s):
            confusion = self.confusion(s)
            right = np.diagonal(confusion, axis1=-2, axis2=-1)
            both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
            f1 = np.where(both > 0, 2.0 * right / np.where(both > 0, both, 1.0), 0.0)
            return ratio(f1.sum(axis=-1), (both > 0).sum(axis=-1))

        def quadratic_kappa(s):
            confusion, place = self.confusion(s), np.arange(self.classes)
            cost = (place[:, None] - place) ** 2.0
            expected = confusion.sum(axis=-1)[..., :, None] * confusion.sum(axis=-2)[..., None, :]
            by_chance = ratio((expected * cost).sum(axis=(-1, -2)), weight(s))
            return 1.0 - ratio((confusion * cost).sum(axis=(-1, -2)), by_chance)

        of_order = {
            "quadratic_kappa": quadratic_kappa,
            "mae": lambda s: ratio(s[..., 2], weight(s)),
        }
        return (of_order if self.ordinal else {}) | {
            "accuracy": lambda s: ratio(np.trace(self.confusion(s), axis1=-2, axis2=-1), weight(s)),
            "macro_f1": macro_f1,
            "logloss": lambda s: ratio(s[..., 1], weight(s)),
            "normalized_entropy": normalized_entropy,
            "ece": self.bins.error,
            "examples": lambda s: s[..., 0],
            "weighted_examples": weight,
        }
