"""TensorFlow Transform's preprocessing: a recipe's columns → the packed inputs of the model.

Named columns up to here; from here on one int64 vector of embedding rows (`ids`), one float vector
(`numbers`) and the precomputed vectors, as the layout says.
"""

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from mtl_models import Layout
from pipeline import vectors, vocabulary
from pipeline.fitted import Fitted
from pipeline.recipe import Recipe
from pipeline.tensor_operations import TensorOperations

TASK_PARTS = ("label", "mask", "weight")
_ROUNDING = 1e-7  # of a number: float32, which the model sees, tells no finer differences


def preprocessing_fn(inputs: Mapping[str, Any], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """See the module. `custom_config` holds the recipe as JSON, the folder of vocabularies and, where training
    begins from a model, the `statistics` that this one saw its inputs by."""
    fitted = Fitted(custom_config.get("statistics"))
    recipe = Recipe.model_validate_json(custom_config["recipe"])
    folder = custom_config["vocabularies"]
    layout = vocabulary.read_layout(folder)
    columns = {n: _dense(inputs[n], c.type) for n, c in recipe.input_columns.items()}
    values = {n: _value(x) for n, x in columns.items() if isinstance(x, tf.Tensor)}
    for name, expression in recipe.derived_columns.items():
        values[name] = expression.evaluate(values, TensorOperations)
        columns[name] = values[name]

    outputs: dict[str, tf.Tensor] = {}
    if layout.categorical:
        outputs["ids"] = tf.concat(
            [_ids(recipe, layout, f.name, columns, values, folder, fitted) for f in layout.categorical],
            axis=1,
        )
    if layout.numbers:
        numbers = [_number(recipe, n, columns, values, fitted) for n in layout.numbers]
        outputs["numbers"] = tf.stack(numbers, axis=1)
    for vector in layout.vectors:
        column = recipe.column_of(vector.name)
        outputs[vector.key] = (
            _number_of(columns[column], vectors.keys_file(folder, vector.name))
            if vector.rows
            else _vector(inputs[column], vector.dim)
        )
    if "duration" in recipe.side:
        outputs["duration"] = tf.cast(values[recipe.duration], tf.float32)
    if "request" in recipe.side:
        column = recipe.roles.request
        outputs["request"] = _request(_dense(inputs[column], recipe.columns[column].type))
    for task in recipe.tasks:
        for part in TASK_PARTS:
            outputs[f"{task}/{part}"] = tf.reshape(_dense(inputs[f"{task}/{part}"], "float"), [-1])
    return outputs


def _request(x: tf.Tensor) -> tf.Tensor:
    """int64 `[rows]`, the same for rows of one request (a hash of 63 bits); -1 where missing."""
    text = _text(x)
    hashed = tf.strings.to_hash_bucket_fast(text, tf.int64.max)
    return tf.where(tf.equal(text, ""), tf.constant(-1, tf.int64), hashed)


def _dense(x: Any, kind: str) -> Any:
    """`[rows]` with NaN, "" or the smallest int64 for a missing value; lists stay as they are."""
    if kind.startswith("list[") or kind == "vector":
        return x
    if isinstance(x, tf.SparseTensor):
        default = {tf.string: "", tf.int64: tf.int64.min}.get(x.dtype, math.nan)
        x = tf.sparse.to_dense(tf.SparseTensor(x.indices, x.values, [x.dense_shape[0], 1]), default)
    return tf.reshape(x, [-1])


def _value(x: tf.Tensor) -> tf.Tensor:
    """A dense column as expressions see it."""
    if x.dtype == tf.int64:
        return tf.where(x == tf.int64.min, tf.constant(math.nan, tf.float64), tf.cast(x, tf.float64))
    return tf.cast(x, tf.float64) if x.dtype.is_floating else x


def _ids(
    recipe: Recipe,
    layout: Layout,
    name: str,
    columns: Mapping,
    values: Mapping,
    folder: str,
    fitted: Fitted,
) -> tf.Tensor:
    """`[rows, length]` global rows of the embedding table; -1 where a list has no value. Of a longer list the
    first or the last values are taken, as its column says."""
    feature = recipe.features[name]
    slots = next(f for f in layout.categorical if f.name == name)
    column = feature.column or name
    if feature.kind == "buckets":
        x = values[column]
        known = tf.boolean_mask(x, ~tf.math.is_nan(x))
        boundaries = fitted(
            f"{name}.boundaries", lambda: tft.quantiles(known, feature.count, epsilon=0.001), x.dtype
        )
        bucket = tft.apply_buckets(
            tf.where(tf.math.is_nan(x), tf.zeros_like(x), x), tf.cast(boundaries, x.dtype)
        )
        rows = tf.where(
            tf.math.is_nan(x), tf.constant(vocabulary.MISSING, tf.int64), vocabulary.FIRST_BUCKET + bucket
        )
        return slots.first_row + rows[:, None]
    x = columns[column]
    if isinstance(x, tf.SparseTensor):  # a request's may have gaps where the client sent no value
        rows = slots.first_row + _rows(_text(x.values), recipe, name, folder)
        lists = tf.RaggedTensor.from_value_rowids(rows, x.indices[:, 0], x.dense_shape[0], validate=False)
        if recipe.keeps_last(name):
            lists = lists[:, -slots.length :]
        return lists.to_tensor(-1, shape=[None, slots.length])
    return slots.first_row + _rows(_text(x), recipe, name, folder)[:, None]


def _text(x: tf.Tensor) -> tf.Tensor:
    if x.dtype == tf.int64:  # not through float64: an id may be larger than it holds exactly
        return tf.where(x == tf.int64.min, "", tf.strings.as_string(x))
    return TensorOperations.text(x)


def _rows(text: tf.Tensor, recipe: Recipe, name: str, folder: str) -> tf.Tensor:
    """Texts of any shape to a feature's own rows, or those it shares."""
    name = vocabulary.rows_of(recipe, name)
    feature = recipe.features[name]
    missing = tf.equal(text, "")
    if feature.hash_buckets is not None:
        found = vocabulary.FIRST_BUCKET + tf.strings.to_hash_bucket_fast(text, feature.hash_buckets)
    else:
        path = vocabulary.vocabulary_file(folder, name)
        unknown = vocabulary.UNKNOWN - vocabulary.FIRST_VALUE
        found = vocabulary.FIRST_VALUE + _line(text, path, f"vocabulary_{name}", unknown)
    return tf.where(missing, tf.constant(vocabulary.MISSING, tf.int64), found)


def _number_of(key: tf.Tensor, keys: Path) -> tf.Tensor:
    """int64 `[rows]`: the row of the matrix that has a key's vector; 0 where there is none."""
    return 1 + _line(_text(key), str(keys), keys.stem.replace(".", "_"), -1)


def _line(text: tf.Tensor, path: str, name: str, unknown: int) -> tf.Tensor:
    """The number, from 0, of the line of a file that a text is; `unknown` where it is none."""
    table = tft.make_and_track_object(
        lambda: tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                path,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            unknown,
        ),
        name=name,
    )
    return table.lookup(text)


def _number(recipe: Recipe, name: str, columns: Mapping, values: Mapping, fitted: Fitted) -> tf.Tensor:
    """float32 `[rows]`, scaled; a missing value is the given one, or the mean of training."""
    feature = recipe.features[name]
    if feature.kind == "custom":
        module, _, function = feature.transform.partition(":")
        own = tf.cast(getattr(importlib.import_module(module), function)(columns), tf.float32)
        return tf.where(tf.math.is_finite(own), own, tf.zeros_like(own))
    x = values[feature.column or name]
    x = tf.cast(x, tf.float64)
    if feature.missing is not None:
        x = tf.where(tf.math.is_nan(x), tf.constant(feature.missing, tf.float64), x)
    if feature.scaling == "log_standard":
        x = tf.sign(x) * tf.math.log1p(tf.abs(x))
    known = tf.boolean_mask(x, tf.math.is_finite(x))
    mean = fitted(f"{name}.mean", lambda: tft.mean(known, output_dtype=tf.float64))
    if feature.scaling in ("standard", "log_standard"):
        low = mean
        spread = tf.sqrt(fitted(f"{name}.var", lambda: tft.var(known, output_dtype=tf.float64)))
        middle = tf.zeros([], tf.float64)
    elif feature.scaling == "minmax":
        low = fitted(f"{name}.min", lambda: tft.min(known))
        spread = fitted(f"{name}.max", lambda: tft.max(known)) - low
        middle = (mean - low) / spread
    else:
        low, spread = tf.zeros([], tf.float64), tf.ones([], tf.float64)
        middle = mean
    # a constant of 0.1 has a deviation of 1e-17 by rounding: divided by that, the first other value is 1e16
    usable = tf.math.is_finite(spread) & (spread > tf.cast(_ROUNDING, spread.dtype) * tf.abs(low))
    scaled = tf.where(usable, (x - low) / tf.where(usable, spread, tf.ones_like(spread)), tf.zeros_like(x))
    scaled = tf.where(tf.math.is_finite(scaled), scaled, tf.zeros_like(x) + middle)
    return tf.cast(tf.where(tf.math.is_finite(scaled), scaled, tf.zeros_like(x)), tf.float32)


def _vector(x: Any, dimension: int) -> tf.Tensor:
    """float32 `[rows, dimension]`; NaN throughout where a row has no vector, which tells the model so."""
    if isinstance(x, tf.SparseTensor):
        x = tf.sparse.to_dense(tf.sparse.reset_shape(x, [x.dense_shape[0], dimension]), math.nan)
    x = tf.reshape(x, [-1, dimension])
    known = tf.math.is_finite(x)
    there = tf.reduce_any(known, axis=1, keepdims=True)
    return tf.where(there, tf.where(known, x, 0.0), math.nan)
