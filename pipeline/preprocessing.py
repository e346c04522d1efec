"""TensorFlow Transform's preprocessing: a recipe's columns → the packed inputs of the model.

Named columns up to here; from here on one int64 vector of embedding rows (`ids`), one float vector
(`numbers`) and the precomputed vectors, as the layout says.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from mtl_models import CategoricalSlots, Layout
from pipeline import vectors, vocabulary
from pipeline.fitted import Fitted
from pipeline.recipe import Recipe
from pipeline.tensor_operations import TensorOperations
from pipeline.vocabulary_table import Vocabularies, line_numbers

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
        outputs["ids"] = _ids(recipe, layout, columns, values, Vocabularies(recipe, layout, folder), fitted)
    if layout.numbers:
        outputs["numbers"] = _numbers(recipe, layout.numbers, columns, values, fitted)
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
    columns: Mapping,
    values: Mapping,
    vocabularies: Vocabularies,
    fitted: Fitted,
) -> tf.Tensor:
    """`[rows, slots]` global rows of the embedding table; -1 where a list has no value. Of a longer list the
    first or the last values are taken, as its column says."""
    found, slots, alike = [], [], []  # parts, and the slot of each of their columns
    for feature in layout.categorical:
        column = columns[recipe.column_of(feature.name)]
        if recipe.features[feature.name].kind == "buckets":
            part = _bucket(recipe, feature, values, fitted)[:, None]
        elif isinstance(column, tf.SparseTensor):  # a request's may have gaps where the client sent no value
            text = _text(column.values)[:, None]
            part = tf.RaggedTensor.from_value_rowids(
                _rows(text, [feature], recipe, vocabularies)[:, 0],
                column.indices[:, 0],
                column.dense_shape[0],
                validate=False,
            )
            if recipe.keeps_last(feature.name):
                part = part[:, -feature.length :]
            part = part.to_tensor(-1, shape=[None, feature.length])
        elif vocabularies.has(feature.name):
            alike.append(feature)
            continue
        else:
            part = _rows(_text(column)[:, None], [feature], recipe, vocabularies)
        found.append(part)
        slots += range(feature.first_slot, feature.first_slot + feature.length)
    if alike:
        text = tf.stack([_text(columns[recipe.column_of(feature.name)]) for feature in alike], axis=1)
        found.append(_rows(text, alike, recipe, vocabularies))
        slots += [feature.first_slot for feature in alike]
    return tf.gather(tf.concat(found, axis=1), np.argsort(slots), axis=1)


def _bucket(recipe: Recipe, feature: CategoricalSlots, values: Mapping, fitted: Fitted) -> tf.Tensor:
    x = values[recipe.column_of(feature.name)]
    known = tf.boolean_mask(x, ~tf.math.is_nan(x))
    boundaries = fitted(
        f"{feature.name}.boundaries",
        lambda: tft.quantiles(known, recipe.features[feature.name].count, epsilon=0.001),
        x.dtype,
    )
    bucket = tft.apply_buckets(tf.where(tf.math.is_nan(x), tf.zeros_like(x), x), tf.cast(boundaries, x.dtype))
    missing = tf.constant(feature.first_row + vocabulary.MISSING, tf.int64)
    return tf.where(tf.math.is_nan(x), missing, feature.first_row + vocabulary.FIRST_BUCKET + bucket)


def _rows(
    text: tf.Tensor, features: list[CategoricalSlots], recipe: Recipe, vocabularies: Vocabularies
) -> tf.Tensor:
    """Texts `[values, features]` to rows of the embedding table; features are hashed, or have a vocabulary."""
    first = tf.constant([feature.first_row for feature in features], tf.int64)
    if vocabularies.has(features[0].name):
        found = vocabularies(text, features)
    else:
        name = vocabulary.rows_of(recipe, features[0].name)
        buckets = recipe.features[name].hash_buckets
        found = first + vocabulary.FIRST_BUCKET + tf.strings.to_hash_bucket_fast(text, buckets)
    return tf.where(tf.equal(text, ""), first + vocabulary.MISSING, found)


def _text(x: tf.Tensor) -> tf.Tensor:
    if x.dtype == tf.int64:  # not through float64: an id may be larger than it holds exactly
        return tf.where(x == tf.int64.min, "", tf.strings.as_string(x))
    return TensorOperations.text(x)


def _number_of(key: tf.Tensor, keys: Path) -> tf.Tensor:
    """int64 `[rows]`: the row of the matrix that has a key's vector; 0 where there is none."""
    return 1 + line_numbers(str(keys), keys.stem.replace(".", "_")).lookup(_text(key))


def _numbers(
    recipe: Recipe, names: Sequence[str], columns: Mapping, values: Mapping, fitted: Fitted
) -> tf.Tensor:
    """float32 `[rows, numbers]`, scaled; a missing value is the given one, or the mean of training."""
    found, places = [], []  # parts, and the place of each of their columns
    scaled = [i for i, name in enumerate(names) if recipe.features[name].kind != "custom"]
    if scaled:
        parts = [_unscaled(recipe, names[i], values, fitted) for i in scaled]
        found.append(_scaled(*(tf.stack(of_all, axis=-1) for of_all in zip(*parts))))
        places += scaled
    for i in sorted(set(range(len(names))) - set(scaled)):
        module, _, function = recipe.features[names[i]].transform.partition(":")
        own = tf.cast(getattr(importlib.import_module(module), function)(columns), tf.float32)
        found.append(tf.where(tf.math.is_finite(own), own, tf.zeros_like(own))[:, None])
        places.append(i)
    return tf.gather(tf.concat(found, axis=1), np.argsort(places), axis=1)


def _unscaled(
    recipe: Recipe, name: str, values: Mapping, fitted: Fitted
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """A number's values `[rows]`, what is taken from them, what they are divided by, and what a missing one
    is afterwards; all float64."""
    feature = recipe.features[name]
    x = tf.cast(values[feature.column or name], tf.float64)
    if feature.missing is not None:
        x = tf.where(tf.math.is_nan(x), tf.constant(feature.missing, tf.float64), x)
    if feature.scaling == "log_standard":
        x = tf.sign(x) * tf.math.log1p(tf.abs(x))
    known = tf.boolean_mask(x, tf.math.is_finite(x))
    mean = fitted(f"{name}.mean", lambda: tft.mean(known, output_dtype=tf.float64))
    zero, one = tf.zeros([], tf.float64), tf.ones([], tf.float64)
    if feature.scaling in ("standard", "log_standard"):
        variance = fitted(f"{name}.var", lambda: tft.var(known, output_dtype=tf.float64))
        return x, mean, tf.sqrt(variance), zero
    if feature.scaling == "minmax":
        low = fitted(f"{name}.min", lambda: tft.min(known))
        spread = fitted(f"{name}.max", lambda: tft.max(known)) - low
        return x, low, spread, (mean - low) / spread
    return x, zero, one, mean


def _scaled(x: tf.Tensor, low: tf.Tensor, spread: tf.Tensor, middle: tf.Tensor) -> tf.Tensor:
    """float32 `[rows, numbers]`."""
    # a constant of 0.1 has a deviation of 1e-17 by rounding: divided by that, the first other value is 1e16
    usable = tf.math.is_finite(spread) & (spread > _ROUNDING * tf.abs(low))
    scaled = tf.where(usable, (x - low) / tf.where(usable, spread, tf.ones_like(spread)), tf.zeros_like(x))
    scaled = tf.where(tf.math.is_finite(scaled), scaled, middle)
    return tf.cast(tf.where(tf.math.is_finite(scaled), scaled, tf.zeros_like(x)), tf.float32)


def _vector(x: Any, dimension: int) -> tf.Tensor:
    """float32 `[rows, dimension]`; NaN throughout where a row has no vector, which tells the model so."""
    if isinstance(x, tf.SparseTensor):
        x = tf.sparse.to_dense(tf.sparse.reset_shape(x, [x.dense_shape[0], dimension]), math.nan)
    x = tf.reshape(x, [-1, dimension])
    known = tf.math.is_finite(x)
    there = tf.reduce_any(known, axis=1, keepdims=True)
    return tf.where(there, tf.where(known, x, 0.0), math.nan)
