"""TensorFlow Model Analysis over scores that exist already: no model is loaded.

A scores file goes through TFMA's label, weight and prediction extractors batch by batch, is cut
into one chunk a slice value (instead of TFMA's one element a row), and through its evaluator
and writers. The folder written is a normal TFMA result: `tfma.load_eval_result` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator
from tensorflow_model_analysis.extractors import (
    materialized_predictions_extractor,
    slice_key_extractor,
)
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.writers import eval_config_writer, metrics_plots_and_validations_writer

from pipeline.evaluation.records import ScoreFiles, floats, slice_columns
from pipeline.evaluation.row_sums import RowTerms
from pipeline.evaluation.slicing import Slices
from pipeline.evaluation.table import OVERALL
from pipeline.evaluation.terms import terms_as_json
from pipeline.evaluation.tfma_metrics import AdditiveMetric
from pipeline.slice_names import slice_name

CANDIDATE, BASELINE = "candidate", "baseline"
COLUMNS = {CANDIDATE: "prediction", BASELINE: "baseline"}
_SLICE_IDS = "slice ids"


def eval_config(
    terms: Mapping[str, Mapping[str, RowTerms]], slices: Slices, use_weight: bool
) -> config_pb2.EvalConfig:
    """TFMA's configuration: one output a task, a candidate and perhaps a baseline.

    Args:
      terms: task -> model (CANDIDATE, and BASELINE where it predicts the task too) -> its terms.
      slices: the slices to tell apart.
      use_weight: weigh rows by `<task>/weight` instead of by `<task>/mask`.
    """

    def model(name: str) -> config_pb2.ModelSpec:
        weight, outputs = "weight" if use_weight else "mask", [t for t in terms if name in terms[t]]
        return config_pb2.ModelSpec(
            name=name,
            is_baseline=name == BASELINE,
            label_keys={task: f"{task}/label" for task in outputs},
            prediction_keys={task: f"{task}/{COLUMNS[name]}" for task in outputs},
            example_weight_keys={task: f"{task}/{weight}" for task in outputs},
        )

    def metric(name: str, of_models: Mapping[str, RowTerms]) -> config_pb2.MetricConfig:
        forms = {model: terms_as_json(of_model) for model, of_model in of_models.items()}
        return config_pb2.MetricConfig(
            class_name=AdditiveMetric.__name__,
            module=AdditiveMetric.__module__,
            config=json.dumps({"name": name, "terms": forms}),
        )

    baseline = any(BASELINE in of_models for of_models in terms.values())
    return config_pb2.EvalConfig(
        model_specs=[model(name) for name in ((CANDIDATE, BASELINE) if baseline else (CANDIDATE,))],
        slicing_specs=[config_pb2.SlicingSpec()]
        + [config_pb2.SlicingSpec(feature_keys=features) for features in slices.kinds],
        metrics_specs=[
            config_pb2.MetricsSpec(
                output_names=[task],
                model_names=list(of_models),
                metrics=[metric(name, of_models) for name in of_models[CANDIDATE].metrics],
            )
            for task, of_models in terms.items()
        ],
    )


class ReadScores(beam.DoFn):
    """Path of a Parquet file -> TFMA extracts of thousands of rows: columns as NumPy arrays, and the ids of
    the rows' slices."""

    def __init__(self, columns: Sequence[str], slices: Slices):
        self._columns, self._slices = list(columns), slices

    def process(self, path: str) -> Iterator[dict[str, Any]]:
        names = self._columns + [f"slice/{feature}" for feature in self._slices.features]
        for batch in ScoreFiles(path).batches(names):
            features = {name: floats(batch[name]) for name in self._columns}
            if not batch.num_rows:
                continue
            ids = self._slices.ids(slice_columns(batch, self._slices.features), batch.num_rows)
            yield {tfma.FEATURES_KEY: features | {_SLICE_IDS: ids}}


def _take(values: Any, rows: np.ndarray) -> Any:
    """The rows of every vector in a nest of dicts (TFMA keys by model and by output)."""
    return {k: _take(v, rows) for k, v in values.items()} if isinstance(values, Mapping) else values[rows]


def _chunks(extracts: dict[str, Any], slices: Slices) -> Iterator[dict[str, Any]]:
    """One element a slice, each with its only slice key."""
    inputs = {k: extracts[k] for k in (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY, tfma.EXAMPLE_WEIGHTS_KEY)}
    for ids in extracts[tfma.FEATURES_KEY][_SLICE_IDS].T:
        order = np.argsort(ids, kind="stable")
        found, starts = np.unique(ids[order], return_index=True)
        for slice_id, rows in zip(found, np.split(order, starts[1:]), strict=True):
            if slice_id >= 0:
                key = slicer_lib.slice_keys_to_numpy_array([slices.key(slice_id)])
                yield {k: _take(v, rows) for k, v in inputs.items()} | {tfma.SLICE_KEY_TYPES_KEY: key}


def write_analysis(
    pipeline: beam.Pipeline,
    paths: Sequence[str],
    output: str,
    terms: Mapping[str, Mapping[str, RowTerms]],
    slices: Slices,
    use_weight: bool = False,
) -> None:
    """Adds the analysis of a scores file to a Beam pipeline.

    Args:
      pipeline: it runs when the caller runs it.
      paths: of the Parquet files.
      output: folder for TFMA's result files.
      terms, slices, use_weight: as of `eval_config`.
    """
    config = eval_config(terms, slices, use_weight)
    columns = sorted(
        {
            column
            for spec in config.model_specs
            for keys in (spec.label_keys, spec.prediction_keys, spec.example_weight_keys)
            for column in keys.values()
        }
    )
    chunking = tfma.extractors.Extractor(
        stage_name=slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME,
        ptransform=beam.FlatMap(_chunks, slices),
    )
    extracts = (
        pipeline
        | "ScoreFiles" >> beam.Create(paths)
        | "ReadScores" >> beam.ParDo(ReadScores(columns, slices))
    )
    _ = (
        extracts
        | "ExtractAndEvaluate"
        >> tfma.ExtractAndEvaluate(
            extractors=[
                tfma.extractors.LabelsExtractor(config),
                tfma.extractors.ExampleWeightsExtractor(config),
                materialized_predictions_extractor.MaterializedPredictionsExtractor(config),
                chunking,
            ],
            evaluators=[metrics_plots_and_validations_evaluator.MetricsPlotsAndValidationsEvaluator(config)],
        )
        | "WriteResults"
        >> tfma.WriteResults(
            writers=[
                # Without a location for each model, load_eval_result(model_name=...) fails.
                eval_config_writer.EvalConfigWriter(
                    output, config, model_locations={spec.name: spec.name for spec in config.model_specs}
                ),
                metrics_plots_and_validations_writer.MetricsPlotsAndValidationsWriter(
                    output_paths={tfma.METRICS_KEY: f"{output}/{tfma.METRICS_KEY}"},
                    eval_config=config,
                    output_file_format="tfrecord",
                ),
            ]
        )
    )


def read_analysis(output: str) -> dict[tuple[str, str, str, str], float]:
    """TFMA's result files as a flat table.

    Returns:
      (model, task, slice, metric) -> value, the model being "candidate" or "baseline" and the
      slice one of `Slices.names`.
    """
    table = {}
    config = tfma.load_eval_result(output, model_name=CANDIDATE).config
    for spec in config.model_specs:
        for key, outputs in tfma.load_eval_result(output, model_name=spec.name).slicing_metrics:
            name = slice_name(key) if key else OVERALL
            for task, metrics in outputs.items():
                for metric, value in metrics[""].items():
                    if "doubleValue" in value and not metric.endswith("_diff"):
                        table[spec.name, task, name, metric] = float(value["doubleValue"])
    return table
