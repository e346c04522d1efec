"""What the exported model takes: one dense tensor a column, with a value that stands for a missing one."""

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from pipeline.recipe import Recipe
from pipeline.recipe.parts import Column

MISSING = {tf.int64: tf.int64.min, tf.float32: math.nan, tf.string: b""}
_DTYPES = {
    "int": tf.int64,
    "time": tf.int64,
    "date": tf.int64,
    "float": tf.float32,
    "string": tf.string,
    "list[int]": tf.int64,
    "list[string]": tf.string,
    "vector": tf.float32,
}


def dtype(column: Column) -> tf.DType:
    """The tensor type of a column."""
    return _DTYPES[column.type]


def is_list(column: Column) -> bool:
    """Whether a row holds several values."""
    return column.type.startswith("list[") or column.type == "vector"


def specs(columns: Mapping[str, Column]) -> dict[str, tf.TensorSpec]:
    """Columns as tensors: `[rows]`, or `[rows, length]` for lists and vectors."""
    return {
        name: tf.TensorSpec([None, None] if is_list(column) else [None], dtype(column), name=name)
        for name, column in columns.items()
    }


def signature(recipe: Recipe) -> dict[str, tf.TensorSpec]:
    """The raw inputs, as `specs` has them."""
    return specs(recipe.request_columns)


def default(column: Column) -> tf.Tensor:
    """What an input that is left out becomes: one row with a missing value, which every row then shares."""
    return tf.fill([1, 1] if is_list(column) else [1], tf.constant(MISSING[dtype(column)], dtype(column)))


def parse_examples(serialized: tf.Tensor, recipe: Recipe) -> dict[str, tf.Tensor]:
    """Serialized tf.Examples `[rows]` to raw inputs."""
    spec: dict[str, Any] = {}
    for name, column in recipe.request_columns.items():
        kind, missing = dtype(column), MISSING[dtype(column)]
        spec[name] = tf.io.FixedLenSequenceFeature([], kind, allow_missing=True, default_value=missing)
    found = tf.io.parse_example(serialized, spec)
    # constants once and not a column each: what is traced here are some 100 columns
    one_behind, first, of_row = tf.constant([[0, 0], [0, 1]]), tf.constant(0), tf.constant(1)
    missing = {kind: tf.constant(value, kind) for kind, value in MISSING.items()}
    for name, column in recipe.request_columns.items():
        if not is_list(column):  # not FixedLenFeature: that refuses a feature that is there and empty
            one = tf.pad(found[name], one_behind, constant_values=missing[dtype(column)])
            found[name] = tf.gather(one, first, axis=of_row)
    return found


def one_batch(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Repeats inputs of one row to the batch size of the others, which is 0 where one of them has no row.

    Not by tf.cond: its branches are functions, two an input, and TensorFlow optimizes each before a version
    can answer. Of inputs that have all rows already, broadcasting copies nothing.
    """
    sizes = tf.stack([tf.size(x) if x.shape.rank == 1 else tf.shape(x)[0] for x in inputs.values()])
    rows = tf.reduce_max(sizes) * tf.minimum(tf.reduce_min(sizes), 1)
    one = tf.expand_dims(rows, 0)
    return {
        name: tf.broadcast_to(x, one if x.shape.rank == 1 else tf.concat([one, tf.shape(x)[1:]], 0))
        for name, x in inputs.items()
    }


def missing_values(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """int32 `[rows]`: how many of a row's inputs have no value; a list or vector where none of its values is."""
    there = [tf.reduce_any(_there(x), axis=1, keepdims=True) for x in inputs.values() if x.shape.rank == 2]
    alone = [x for x in inputs.values() if x.shape.rank == 1]
    for kind in {x.dtype: None for x in alone}:
        there.append(_there(tf.stack([x for x in alone if x.dtype == kind], axis=1)))
    return tf.reduce_sum(tf.cast(~tf.concat(there, axis=1), tf.int32), axis=1)


def _there(x: tf.Tensor) -> tf.Tensor:
    if x.dtype == tf.float32:
        return ~tf.math.is_nan(x)
    return tf.not_equal(x, tf.constant(MISSING[x.dtype], x.dtype))


def as_sparse(inputs: dict[str, tf.Tensor]) -> dict[str, tf.SparseTensor]:
    """Dense columns in the form of TensorFlow Transform's raw features.

    Lists are there without their missing values. A single value is there even where it is missing: what
    stands for it is what preprocessing makes of a row without one, and to leave it out would be some ten
    operations a column.
    """
    found, places = {}, None
    for name, x in inputs.items():
        if x.shape.rank == 1:
            if places is None:
                rows = tf.shape(x, tf.int64)[0]
                places = tf.stack([tf.range(rows), tf.zeros([rows], tf.int64)], axis=1)
                shape = tf.stack([rows, tf.constant(1, tf.int64)])
            found[name] = tf.SparseTensor(places, x, shape)
        else:
            indices = tf.where(_there(x))
            of_all = tf.maximum(tf.shape(x, tf.int64), [0, 1])
            found[name] = tf.SparseTensor(indices, tf.gather_nd(x, indices), of_all)
    return found
