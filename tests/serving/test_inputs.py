"""Raw inputs: missing values, one context for many rows, examples."""

import numpy as np
import pytest
import tensorflow as tf

from pipeline.recipe import loads
from serving import inputs, requests

RECIPE = loads("""
version: 1
name: tiny
sources:
  log:
    files: a.csv
    columns:
      id: int
      price: float
      word: string
      tags: {type: "list[string]", separator: "|"}
      vector: vector
      clicked: {type: int, known: after}
roles: {user: id}
features:
  id: {kind: categorical}
  price: {kind: numeric}
  word: {kind: categorical}
  tags: {kind: categorical, max_length: 3}
  vector: {kind: vector, dimension: 2}
tasks:
  click: {kind: binary, label: clicked}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
""")


def example(**columns) -> bytes:
    feature = {}
    for name, values in columns.items():
        if isinstance(values[0], bytes):
            feature[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        elif isinstance(values[0], int):
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def test_examples_to_inputs_and_to_rows():
    serialized = tf.constant(
        [
            example(id=[7], price=[2.5], word=[b"x"], tags=[b"a", b"b"], vector=[1.0, 2.0]),
            example(tags=[b"c"]),
        ]
    )
    found = inputs.parse_examples(serialized, RECIPE)
    assert found["id"].numpy().tolist() == [7, tf.int64.min]
    assert found["tags"].numpy().tolist() == [[b"a", b"b"], [b"c", b""]]
    assert np.isnan(found["price"].numpy()[1]) and np.isnan(found["vector"].numpy()[1]).all()
    rows = requests.to_rows({n: x.numpy() for n, x in found.items()})
    assert rows == [
        {"id": 7, "price": 2.5, "word": "x", "tags": ["a", "b"], "vector": [1.0, 2.0]},
        {"tags": ["c"], "vector": []},
    ]


def test_of_lists_missing_values_are_left_out_and_single_ones_stand_for_themselves():
    sparse = inputs.as_sparse(
        {
            "id": tf.constant([3, tf.int64.min], tf.int64),
            "price": tf.constant([np.nan, 1.0], tf.float32),
            "word": tf.constant(["", "a"]),
            "tags": tf.constant([["a", ""], ["", "b"]]),
            "vector": tf.constant([[np.nan, np.nan], [1.0, 2.0]]),
        }
    )
    assert sparse["id"].values.numpy().tolist() == [3, tf.int64.min]
    for name in ("id", "price", "word"):
        assert sparse[name].indices.numpy().tolist() == [[0, 0], [1, 0]]
        assert sparse[name].dense_shape.numpy().tolist() == [2, 1]
    assert sparse["tags"].values.numpy().tolist() == [b"a", b"b"]
    assert sparse["tags"].indices.numpy().tolist() == [[0, 0], [1, 1]]
    assert sparse["vector"].indices.numpy().tolist() == [[1, 0], [1, 1]]


def test_one_row_is_shared_by_all():
    found = inputs.one_batch(
        {
            "user": tf.constant([4], tf.int64),
            "item": tf.constant([1, 2, 3], tf.int64),
            "tags": tf.constant([["a", "b"]]),
        }
    )
    assert found["user"].numpy().tolist() == [4, 4, 4]
    assert found["tags"].numpy().tolist() == [[b"a", b"b"]] * 3


def test_a_batch_without_rows_stays_one():
    found = inputs.one_batch(
        {
            "user": tf.constant([4], tf.int64),
            "item": tf.zeros([0], tf.int64),
            "tags": tf.constant([["a", "b"]]),
            "words": tf.zeros([0, 3], tf.string),
        }
    )
    assert {name: x.shape.as_list() for name, x in found.items()} == {
        "user": [0],
        "item": [0],
        "tags": [0, 2],
        "words": [0, 3],
    }
    with pytest.raises(tf.errors.InvalidArgumentError):
        inputs.one_batch({"user": tf.constant([4, 5], tf.int64), "item": tf.zeros([3], tf.int64)})


def test_missing_values_are_counted_a_row():
    found = inputs.missing_values(
        {
            "id": tf.constant([4, tf.int64.min, 0], tf.int64),
            "price": tf.constant([np.nan, np.nan, 0.0], tf.float32),
            "tags": tf.constant([["a", ""], ["", ""], ["", "b"]]),
            "vector": tf.constant([[np.nan, 1.0], [np.nan, np.nan], [0.0, 0.0]]),
        }
    )
    assert found.dtype == tf.int32 and found.numpy().tolist() == [1, 4, 0]


def test_signature_and_defaults_agree():
    for name, spec in inputs.signature(RECIPE).items():
        default = inputs.default(RECIPE.columns[name])
        assert default.dtype == spec.dtype and spec.is_compatible_with(default), name
