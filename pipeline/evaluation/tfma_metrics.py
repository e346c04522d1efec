"""Additive metrics as a TensorFlow Model Analysis metric that takes many rows at a time.

TFMA's own log loss, calibration and errors run Python for each row, output, model and slice:
about a thousand rows a second. All of them are functions of seven sums, so here an element
handed to TFMA is a chunk of rows of one slice (`tfma_analysis`), and the combiner adds the sums
of the whole chunk. Slicing, merging, the comparison of models and the result files stay TFMA's.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

# Predictions are kept this far from 0 and 1 in the log loss, as Keras keeps them.
LOG_LOSS_EPSILON = 1e-7

_COUNT, _WEIGHT, _LABEL, _PREDICTION, _LOG_LOSS, _ABSOLUTE, _SQUARED = range(7)


def row_sums(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The seven sums over rows of weight above 0.

    Args:
      labels, predictions, weights: (n,) float; what stands in a row of weight 0 is not looked at.

    Returns:
      (7,) float64: rows, and sums of w, w y, w p, w logloss(y, p), w |p - y|, w (p - y)^2.
    """
    kept = weights > 0
    y, p, w = (np.asarray(a, np.float64)[kept] for a in (labels, predictions, weights))
    clipped = np.clip(p, LOG_LOSS_EPSILON, 1.0 - LOG_LOSS_EPSILON)
    log_loss = -(y * np.log(clipped) + (1.0 - y) * np.log1p(-clipped))
    error = p - y
    terms = (y, p, log_loss, np.abs(error), error**2)
    return np.array([len(w), w.sum(), *((w * term).sum() for term in terms)])


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom else float("nan")


ADDITIVE_METRICS = {
    "logloss": lambda s: _ratio(s[_LOG_LOSS], s[_WEIGHT]),
    "calibration": lambda s: _ratio(s[_PREDICTION], s[_LABEL]),
    "mae": lambda s: _ratio(s[_ABSOLUTE], s[_WEIGHT]),
    "rmse": lambda s: _ratio(s[_SQUARED], s[_WEIGHT]) ** 0.5,
    "mean_label": lambda s: _ratio(s[_LABEL], s[_WEIGHT]),
    "mean_prediction": lambda s: _ratio(s[_PREDICTION], s[_WEIGHT]),
    "examples": lambda s: float(s[_COUNT]),
    "weighted_examples": lambda s: float(s[_WEIGHT]),
}


class RowSumsCombiner(beam.CombineFn):
    """Adds the row sums of chunks; the result's key is private to TFMA (it begins with `_`)."""

    def __init__(self, key: metric_types.MetricKey):
        self._key = key

    def create_accumulator(self) -> np.ndarray:
        return np.zeros(7)

    def add_input(self, accumulator: np.ndarray, element: metric_types.StandardMetricInputs) -> np.ndarray:
        names = (self._key.model_name, self._key.output_name)
        return accumulator + row_sums(
            element.get_labels(*names), element.get_predictions(*names), element.get_example_weights(*names)
        )

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[metric_types.MetricKey, np.ndarray]:
        return {self._key: accumulator}


def _computations(
    name: str,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    def key(metric: str) -> metric_types.MetricKey:
        return metric_types.MetricKey(
            name=metric, model_name=model_name, output_name=output_name, example_weighted=example_weighted
        )

    sums, metric, formula = key("_row_sums"), key(name), ADDITIVE_METRICS[name]

    def result(metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        return {metric: formula(metrics[sums])}

    # TFMA keeps one of the equal sums that the metrics of an output ask for.
    return [
        metric_types.MetricComputation(keys=[sums], preprocessors=None, combiner=RowSumsCombiner(sums)),
        metric_types.DerivedMetricComputation(keys=[metric], result=result),
    ]


class AdditiveMetric(metric_types.Metric):
    """One of ADDITIVE_METRICS, by name. Elements must be chunks: vectors of one length an output."""

    def __init__(self, name: str):
        """Raises ValueError for a name that is not in ADDITIVE_METRICS."""
        if name not in ADDITIVE_METRICS:
            raise ValueError(f"no additive metric {name!r}; there are {', '.join(ADDITIVE_METRICS)}")
        super().__init__(metric_util.merge_per_key_computations(_computations), name=name)
