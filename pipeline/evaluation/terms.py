"""Which sums over rows a kind of task has."""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.class_sums import ClassTerms
from pipeline.evaluation.row_sums import BinaryTerms, RegressionTerms, RowTerms, equal_mass_edges


def terms_of(kind: str, labels: np.ndarray, scores: np.ndarray, quantile: float) -> RowTerms:
    """The terms of one score of a task.

    Args:
      kind: of the task.
      labels: (n,) a sample of its labels; a regression is centred on their median.
      scores: (n,) or (n, classes) the same rows' scores; calibration bins hold as many of them each.
      quantile: of the quantile loss.

    Raises:
      ValueError: for a kind without metrics.
    """
    if kind == "binary":
        return BinaryTerms(equal_mass_edges(scores))
    if kind == "regression":
        return RegressionTerms(float(np.median(labels)) if len(labels) else 0.0, quantile)
    if kind in ("multiclass", "ordinal"):
        return ClassTerms(scores.shape[1], kind == "ordinal", equal_mass_edges(scores.max(axis=1)))
    raise ValueError(f"no metrics for {kind}; kinds are binary, regression, multiclass and ordinal")
