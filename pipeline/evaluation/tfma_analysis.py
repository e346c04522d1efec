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
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator
from tensorflow_model_analysis.extractors import (
    materialized_predictions_extractor,
    slice_key_extractor,
)
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.writers import eval_config_writer, metrics_plots_and_validations_writer

from pipeline.evaluation.scores import rows_by_value, score_files, slice_strings
from pipeline.evaluation.tfma_metrics import AdditiveMetric

CANDIDATE, BASELINE = "candidate", "baseline"
_EVERY_KIND = ("examples", "weighted_examples", "mean_label", "mean_prediction")
METRICS_BY_KIND = {
    "binary": (*_EVERY_KIND, "logloss", "calibration"),
    "regression": (*_EVERY_KIND, "mae", "rmse", "calibration"),
}
# Large enough that the work is NumPy's, small enough to hold a few in memory.
_ROWS_A_BATCH = 1 << 16


def eval_config(
    tasks: Mapping[str, str], slices: Sequence[str], baseline_tasks: Sequence[str], use_weight: bool
) -> config_pb2.EvalConfig:
    """TFMA's configuration: one output a task, a candidate and perhaps a baseline.

    Args:
      tasks: name -> kind, "binary" or "regression".
      slices: features to slice by, beside the whole.
      baseline_tasks: those that the serving model predicts too.
      use_weight: weigh rows by `<task>/weight` instead of by `<task>/mask`.

    Raises:
      ValueError: for a kind without metrics.
    """
    unknown = {task: kind for task, kind in tasks.items() if kind not in METRICS_BY_KIND}
    if unknown:
        raise ValueError(f"no metrics for {unknown}; kinds are {', '.join(METRICS_BY_KIND)}")

    def model(name: str, column: str, outputs: Sequence[str]) -> config_pb2.ModelSpec:
        weight = "weight" if use_weight else "mask"
        return config_pb2.ModelSpec(
            name=name,
            is_baseline=name == BASELINE,
            label_keys={task: f"{task}/label" for task in outputs},
            prediction_keys={task: f"{task}/{column}" for task in outputs},
            example_weight_keys={task: f"{task}/{weight}" for task in outputs},
        )

    models = [model(CANDIDATE, "prediction", list(tasks))]
    models += [model(BASELINE, "baseline", baseline_tasks)] if baseline_tasks else []
    return config_pb2.EvalConfig(
        model_specs=models,
        slicing_specs=[config_pb2.SlicingSpec()] + [config_pb2.SlicingSpec(feature_keys=[f]) for f in slices],
        metrics_specs=[
            config_pb2.MetricsSpec(
                output_names=[task],
                model_names=[CANDIDATE] + ([BASELINE] if task in baseline_tasks else []),
                metrics=[
                    config_pb2.MetricConfig(
                        class_name=AdditiveMetric.__name__,
                        module=AdditiveMetric.__module__,
                        config=json.dumps({"name": metric}),
                    )
                    for metric in METRICS_BY_KIND[kind]
                ],
            )
            for task, kind in tasks.items()
        ],
    )


class ReadScores(beam.DoFn):
    """Path of a Parquet file -> TFMA extracts of thousands of rows, columns as NumPy vectors.

    A slice feature comes as int64 codes into its values, -1 for none of them.
    """

    def __init__(self, columns: Sequence[str], slices: Mapping[str, Sequence[str]]):
        self._columns = list(columns)
        self._slices = {feature: list(values) for feature, values in slices.items()}

    def process(self, path: str) -> Iterator[dict[str, Any]]:
        names = self._columns + [f"slice/{feature}" for feature in self._slices]
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_A_BATCH, columns=names):
                features = {
                    name: pc.cast(batch[name], pa.float64()).to_numpy(zero_copy_only=False)
                    for name in self._columns
                }
                for feature, values in self._slices.items():
                    found = pc.index_in(
                        slice_strings(batch[f"slice/{feature}"]), value_set=pa.array(values, pa.string())
                    )
                    features[feature] = found.fill_null(-1).to_numpy(zero_copy_only=False)
                yield {tfma.FEATURES_KEY: features}


def _take(values: Any, rows: np.ndarray) -> Any:
    """The rows of every vector in a nest of dicts (TFMA keys by model and by output)."""
    return {k: _take(v, rows) for k, v in values.items()} if isinstance(values, Mapping) else values[rows]


def _chunks(extracts: dict[str, Any], slices: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """One element for all rows and one a slice value, each with its only slice key."""
    features = extracts[tfma.FEATURES_KEY]
    inputs = {k: extracts[k] for k in (tfma.LABELS_KEY, tfma.PREDICTIONS_KEY, tfma.EXAMPLE_WEIGHTS_KEY)}
    yield inputs | {tfma.SLICE_KEY_TYPES_KEY: slicer_lib.slice_keys_to_numpy_array([()])}
    for feature, values in slices.items():
        for value, rows in rows_by_value(values, features[feature]):
            key = slicer_lib.slice_keys_to_numpy_array([((feature, value),)])
            yield {k: _take(v, rows) for k, v in inputs.items()} | {tfma.SLICE_KEY_TYPES_KEY: key}


def write_analysis(
    pipeline: beam.Pipeline,
    paths: str | Sequence[str],
    output: str,
    tasks: Mapping[str, str],
    slices: Mapping[str, Sequence[str]],
    baseline_tasks: Sequence[str] = (),
    use_weight: bool = False,
) -> None:
    """Adds the analysis of a scores file to a Beam pipeline.

    Args:
      pipeline: it runs when the caller runs it.
      paths: a Parquet file, a folder, or a list of either.
      output: folder for TFMA's result files.
      tasks: name -> kind.
      slices: feature -> the values to tell apart.
      baseline_tasks: tasks that have a `<task>/baseline` column.
      use_weight: weigh rows by `<task>/weight` instead of by `<task>/mask`.
    """
    config = eval_config(tasks, list(slices), baseline_tasks, use_weight)
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
        | "ScoreFiles" >> beam.Create(score_files(paths))
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
      slice "overall" or "feature=value".
    """
    table = {}
    config = tfma.load_eval_result(output, model_name=CANDIDATE).config
    for spec in config.model_specs:
        for key, outputs in tfma.load_eval_result(output, model_name=spec.name).slicing_metrics:
            name = "=".join(key[0]) if key else "overall"
            for task, metrics in outputs.items():
                for metric, value in metrics[""].items():
                    if "doubleValue" in value and not metric.endswith("_diff"):
                        table[spec.name, task, name, metric] = float(value["doubleValue"])
    return table
