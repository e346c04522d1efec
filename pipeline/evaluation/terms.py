"""Which sums over rows a kind of task has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.evaluation.class_sums import ClassTerms
from pipeline.evaluation.row_sums import BinaryTerms, RegressionTerms, RowTerms, equal_mass_edges
from pipeline.metric_names import METRICS, role_of

_KINDS = {terms.__name__: terms for terms in (BinaryTerms, RegressionTerms, ClassTerms)}


def terms_of(
    kind: str, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, quantile: float
) -> RowTerms:
    """The terms of one score of a task.

    Args:
      kind: of the task.
      labels: (n,) a sample of its labels; a regression is centred on their median.
      scores: (n,) or (n, classes) the same rows' scores; calibration bins hold as many of them each.
      weights: (n,) of the same rows.
      quantile: of the quantile loss.

    Raises:
      ValueError: for a kind without metrics.
    """
    if kind == "binary":
        return BinaryTerms(equal_mass_edges(scores))
    if kind == "regression":
        return RegressionTerms(_median(labels, weights), quantile)
    if kind in ("multiclass", "ordinal"):
        return ClassTerms(scores.shape[1], kind == "ordinal", equal_mass_edges(scores.max(axis=1)))
    raise ValueError(f"no metrics for {kind}; kinds are binary, regression, multiclass and ordinal")


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted median, 0 of nothing."""
    if not len(values):
        return 0.0
    order = np.argsort(values)
    return float(values[order[np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)]])


def terms_as_json(terms: RowTerms) -> dict[str, Any]:
    """A dict of JSON's types, for `terms_from`."""
    return {"terms": type(terms).__name__} | asdict(terms)


def terms_from(form: Mapping[str, Any]) -> RowTerms:
    """The reverse of `terms_as_json`."""
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in form.items() if name != "terms"}
    return _KINDS[form["terms"]](**fields)


def metric_names(kind: str, roles: Sequence[str]) -> list[str]:
    """The metrics of a kind of task where there are these roles."""
    ordered = [m for m in METRICS[kind] if (role := role_of(m)) is None or role in roles]
    sums = terms_of(kind, np.empty(0), np.empty((0, 1)), np.empty(0), 0.5).metrics
    return list(dict.fromkeys([*ordered, *sums]))
