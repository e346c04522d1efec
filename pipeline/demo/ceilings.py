"""How good a model could be: the true propensities scored against the labels that they drew."""

import math

import numpy as np

from pipeline.demo.labels import Labels, median_watch
from pipeline.demo.truth import Propensities

# Scores are counted by their rank among this many equal steps of [0, 1]: the memory does not grow with the
# rows. True propensities are spread over the steps, so ties within one move an AUC by about 1e-6.
STEPS = 1 << 16


class BinaryCeiling:
    """Area under the ROC curve of chances against outcomes, in one pass and constant memory."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, STEPS), np.int64)

    def add(self, outcome: np.ndarray, chance: np.ndarray) -> None:
        """Adds rows: outcome bool [rows], chance float [rows] in [0, 1]."""
        step = np.minimum((chance * STEPS).astype(np.int64), STEPS - 1)
        self._counts += np.bincount(step + STEPS * outcome, minlength=2 * STEPS).reshape(2, STEPS)

    def result(self) -> dict[str, float | int | None]:
        """`examples`, `rate` and `auc` (None where only one outcome was seen)."""
        negatives, positives = self._counts
        below = np.cumsum(negatives) - negatives
        wins = float(positives @ (below + negatives / 2))
        pairs = int(negatives.sum()) * int(positives.sum())
        examples = int(self._counts.sum())
        return {
            "examples": examples,
            "rate": int(positives.sum()) / examples if examples else None,
            "auc": wins / pairs if pairs else None,
        }


class AmountCeiling:
    """Errors of the best possible forecasts of an amount whose mean and median are known."""

    def __init__(self) -> None:
        self._rows, self._total, self._square, self._absolute = 0, 0.0, 0.0, 0.0

    def add(self, amount: np.ndarray, mean: np.ndarray, median: np.ndarray) -> None:
        """Adds rows: amount seen, its true mean and its true median, float [rows] each."""
        self._rows += len(amount)
        self._total += float(amount.sum())
        self._square += float(((amount - mean) ** 2).sum())
        self._absolute += float(np.abs(amount - median).sum())

    def result(self) -> dict[str, float | int | None]:
        """`examples`, `mean`, `rmse` (forecasting the mean) and `mae` (forecasting the median)."""
        if not self._rows:
            return {"examples": 0, "mean": None, "rmse": None, "mae": None}
        return {
            "examples": self._rows,
            "mean": self._total / self._rows,
            "rmse": math.sqrt(self._square / self._rows),
            "mae": self._absolute / self._rows,
        }


class Ceilings:
    """The ceilings of the four tasks over whatever rows were added."""

    def __init__(self) -> None:
        self._binary = {"click": BinaryCeiling(), "like": BinaryCeiling(), "purchase": BinaryCeiling()}
        self._watch = AmountCeiling()

    def add(self, labels: Labels, chance: Propensities) -> None:
        """Adds a block's rows; purchase and watch count where clicked."""
        clicked = labels.click
        self._binary["click"].add(labels.click, chance.click)
        self._binary["like"].add(labels.like, chance.like)
        self._binary["purchase"].add(labels.purchase[clicked], chance.purchase[clicked])
        mean = chance.watch_seconds[clicked]
        self._watch.add(labels.watch_seconds[clicked], mean, median_watch(mean))

    def result(self) -> dict[str, dict[str, float | int | None]]:
        """Results by task: click, like, purchase, watch_seconds."""
        return {name: ceiling.result() for name, ceiling in self._binary.items()} | {
            "watch_seconds": self._watch.result()
        }
