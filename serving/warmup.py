"""Warm-up requests: what TensorFlow Serving replays before a version takes traffic."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from pipeline.recipe import Recipe
from serving.inputs import MISSING

FILE = "tf_serving_warmup_requests"
SIZES = (1, 128)  # rows: one, and a list of candidates; what depends on the shape is then done for both


def write(extra: Path, recipe: Recipe, signatures: dict[str, dict[str, tf.TensorSpec]]) -> None:
    """Writes PredictionLogs as TFRecords: each signature with each of `SIZES`, every value missing.

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
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(_missing(spec, rows)))
                file.write(log.SerializeToString(deterministic=True))


def _missing(spec: tf.TensorSpec, rows: int) -> tf.Tensor:
    # a serialized tf.Example without features is the empty text as well
    shape = [spec.shape[0] or rows, *([1] if spec.shape.rank == 2 else [])]
    return tf.fill(shape, tf.constant(MISSING[spec.dtype], spec.dtype))
