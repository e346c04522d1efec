"""Warm-up requests: one of each size for each signature, and nothing missing in them."""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from pipeline.recipe import loads
from serving import inputs, ranking, warmup

RECIPE = loads("""
version: 1
name: tiny
sources:
  log:
    files: a.csv
    columns:
      user: int
      item: string
      price: float
      tags: {type: "list[string]", separator: "|"}
      picture: vector
      clicked: {type: int, known: after}
roles: {user: user, item: item}
features:
  user: {kind: categorical}
  item: {kind: categorical}
  price: {kind: numeric}
  tags: {kind: categorical, max_length: 3}
  picture: {kind: vector, dimension: 2}
tasks:
  click: {kind: binary, label: clicked}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
""")


def test_every_input_has_a_value(tmp_path):
    examples = {"examples": tf.TensorSpec([None], tf.string, "examples")}
    signatures = {
        "serving_default": inputs.signature(RECIPE),
        "rank": ranking.signature(RECIPE),
        "serve_examples": examples,
    }
    warmup.write(tmp_path, RECIPE, signatures)
    seen = []
    for record in tf.data.TFRecordDataset(str(tmp_path / warmup.FILE)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name
        sent = {n: tf.constant(tf.make_ndarray(x)) for n, x in request.inputs.items()}
        rows = max(x.shape[0] for x in sent.values())
        seen.append((name, rows))
        for key, spec in signatures[name].items():
            assert spec.shape.is_compatible_with(sent[key].shape) and spec.dtype == sent[key].dtype
        columns = inputs.parse_examples(sent["examples"], RECIPE) if name == "serve_examples" else sent
        assert set(columns) == {"user", "item", "price", "tags", "picture"}
        assert not np.any(inputs.missing_values(inputs.one_batch(columns)))
    assert seen == [(name, rows) for name in signatures for rows in warmup.SIZES]
