"""Warm-up requests: what TensorFlow Serving replays before a version takes traffic."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from pipeline.recipe import Recipe
from serving.inputs import signature

FILE = "tf_serving_warmup_requests"
_RAW = ("serving_default", "rank")  # signatures of the recipe's columns; others take serialized examples
_VALUES = {tf.string: b"warm-up", tf.int64: 1, tf.float32: 1.0}
SIZES = (1, 128)  # rows: one, and a list of candidates; what depends on the shape is then done for both


def write(extra: Path, recipe: Recipe, signatures: dict[str, dict[str, tf.TensorSpec]]) -> None:
    """Writes PredictionLogs as TFRecords: each signature with each of `SIZES`, every input with a value, so
    that nothing of the graph waits for a real request. Ids are unknown ones.

    Args:
      extra: the folder `assets.extra` of a SavedModel.
      recipe: its name is the model's.
      signatures: name → its inputs by name; an input whose first dimension is fixed keeps it.
    """
    with tf.io.TFRecordWriter(str(extra / FILE)) as file:
        for name, specs in signatures.items():
            for rows in SIZES:
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.name, request.model_spec.signature_name = recipe.name, name
                for key, spec in specs.items():
                    filled = _values(spec, rows) if name in _RAW else _examples(recipe, rows)
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(filled))
                file.write(log.SerializeToString(deterministic=True))


def _values(spec: tf.TensorSpec, rows: int) -> np.ndarray:
    shape = [spec.shape[0] or rows, *([1] if spec.shape.rank == 2 else [])]
    kind = object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
    return np.full(shape, _VALUES[spec.dtype], kind)


def _examples(recipe: Recipe, rows: int) -> list[bytes]:
    example = tf.train.Example()
    for name, spec in signature(recipe).items():
        feature, value = example.features.feature[name], _VALUES[spec.dtype]
        kind = {tf.string: feature.bytes_list, tf.int64: feature.int64_list, tf.float32: feature.float_list}
        kind[spec.dtype].value.append(value)
    return [example.SerializeToString(deterministic=True)] * rows
