"""Metrics of sums over rows as a TensorFlow Model Analysis metric that takes many rows at a time.

TFMA's own log loss, calibration and errors run Python for each row, output, model and slice: about a
thousand rows a second. Here an element handed to TFMA is a chunk of rows of one slice (`tfma_analysis`), and
the combiner adds the sums (`row_sums`) of the whole chunk. Slicing, merging, the comparison of models and
the result files stay TFMA's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from pipeline.evaluation.row_sums import RowTerms
from pipeline.evaluation.terms import terms_from


class RowSumsCombiner(beam.CombineFn):
    """Adds the row sums of chunks; the result's key is private to TFMA (it begins with `_`)."""

    def __init__(self, key: metric_types.MetricKey, terms: RowTerms):
        self._key, self._terms = key, terms

    def create_accumulator(self) -> np.ndarray:
        return np.zeros(self._terms.size)

    def add_input(self, accumulator: np.ndarray, element: metric_types.StandardMetricInputs) -> np.ndarray:
        names = (self._key.model_name, self._key.output_name)
        return accumulator + self._terms.sums(
            element.get_labels(*names), element.get_predictions(*names), element.get_example_weights(*names)
        )

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[metric_types.MetricKey, np.ndarray]:
        return {self._key: accumulator}


def _computations(
    name: str,
    terms: Mapping[str, Mapping[str, Any]],
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    def key(metric: str) -> metric_types.MetricKey:
        return metric_types.MetricKey(
            name=metric, model_name=model_name, output_name=output_name, example_weighted=example_weighted
        )

    of_model = terms_from(terms[model_name])
    sums, metric = key("_row_sums"), key(name)

    def result(metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        return {metric: float(of_model.metrics[name](metrics[sums]))}

    # TFMA keeps one of the equal sums that the metrics of an output ask for.
    return [
        metric_types.MetricComputation(
            keys=[sums], preprocessors=None, combiner=RowSumsCombiner(sums, of_model)
        ),
        metric_types.DerivedMetricComputation(keys=[metric], result=result),
    ]


class AdditiveMetric(metric_types.Metric):
    """One metric of sums over rows. Elements must be chunks: vectors of one length an output."""

    def __init__(self, name: str, terms: Mapping[str, Mapping[str, Any]]):
        """Takes the metric's name, and of each model its terms in the form of `terms.terms_as_json`."""
        super().__init__(metric_util.merge_per_key_computations(_computations), name=name, terms=terms)
