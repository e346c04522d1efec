"""The SavedModel that TensorFlow Serving loads: model, preprocessing and signatures in one."""

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from pipeline.recipe import Recipe
from pipeline.recipe.parts import Column
from pipeline.recipe.tasks import CLASS_KINDS
from serving import inputs as raw
from serving import ranking, warmup
from serving.catalogs import HeldCatalog, hold
from serving.preprocessing import Preprocessing
from serving.private import Hasher

CARD = "model_card.json"
ABSENT = "absent"
_UNITS = {"time": "milliseconds since 1970-01-01 UTC", "date": "days since 1970-01-01"}


class Servable(tf.Module):
    """Holds what the signatures use, so that variables, vocabularies and catalogs are saved with them.

    Signatures (each returns one output a task, float32 `[rows]`, or `[rows, classes]` of probabilities in the
    order of the recipe's `classes`, `score` where a task has a single number for it, and `absent`, int32
    `[rows]`: how many of a row's inputs have no value, sent or not, and how many of its ids are unknown):
      serving_default: the recipe's request columns by name, as a web client sends them.
      rank: the same columns, one row of the user and context and many of items; see `serving.ranking`. It is
        there where the recipe has a role `item` that the model reads, or reads something of.
      serve_examples: `examples`, serialized tf.Examples of the same columns.
      transform_features: `examples` to the packed inputs of the model.
    """

    def __init__(self, model: Any, transform_layer: Any, recipe: Recipe, catalogs: Mapping[str, HeldCatalog]):
        super().__init__()
        # Keras exports a second handle for each of its variables, and saves and restores that one alone:
        # TensorFlow Serving would find those of the functions without a value. So these are kept instead.
        self._call_model = lambda packed: model(packed, training=False)
        self.weights = [variable.value for variable in model.variables]
        self.preprocessing = Preprocessing(transform_layer, recipe.input_columns)
        self.catalogs = dict(catalogs)
        self._recipe, self._layout = recipe, model.layout
        # nothing here branches on tensors: AutoGraph would rewrite every function for nothing
        graph = functools.partial(tf.function, autograph=False)
        # what signatures have in common is one function that each calls: traced, saved and loaded once
        examples = tf.TensorSpec([None], tf.string, name="examples")
        self._parsed = _apart(graph(lambda of: raw.parse_examples(of, recipe), [examples]))
        self._packed = _apart(graph(self._pack, [raw.specs(recipe.input_columns)]))
        self._answer = _apart(graph(self._answer_columns, [raw.signature(recipe)]))
        self.serving_default = graph(self._serving_default, [raw.signature(recipe)])
        self.serve_examples = graph(self._serve_examples, [examples])
        self.transform_features = graph(self._transform_features, [examples])
        self.inputs = {
            "serving_default": raw.signature(recipe),
            "serve_examples": {"examples": examples},
            "transform_features": {"examples": examples},
        }
        if ranking.item_columns(recipe):
            self.inputs["rank"] = ranking.signature(recipe)
            answer = self._rank if ranking.shared_lists(recipe) else self._serving_default
            self.rank = graph(answer, [self.inputs["rank"]])

    def _with_catalogs(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What was sent, and what the model's own catalogs have for its keys."""
        found = {n: x for c in self.catalogs.values() for n, x in c(inputs[c.key]).items()}
        inputs = inputs | found
        return {name: inputs[name] for name in self._recipe.input_columns}

    def _pack(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self.preprocessing(raw.as_sparse(inputs))

    def _answer_columns(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = self._with_catalogs(inputs)
        packed = self._packed(inputs)
        answer = self._predictions(packed)
        return {**answer, ABSENT: raw.missing_values(inputs) + self._unknown_ids(packed)}

    def _rank(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        sent = ranking.item_columns(self._recipe)
        items = raw.one_batch({n: x for n, x in inputs.items() if n in sent})
        inputs = self._with_catalogs(inputs | items)
        packed = ranking.packed(self._packed, self._layout, self._recipe, inputs)
        answer = self._predictions(packed)
        of_items = ranking.of_items(self._recipe)
        missing = raw.missing_values({n: x for n, x in inputs.items() if n in of_items})
        missing += raw.missing_values({n: x for n, x in inputs.items() if n not in of_items})
        return {**answer, ABSENT: missing + self._unknown_ids(packed)}

    def _unknown_ids(self, packed: dict[str, tf.Tensor]) -> tf.Tensor:
        """`[rows]`: ids that the vocabulary does not have; of a list each of them."""
        unknown: list[int] = []  # the row that stands for it, of each slot; -2 is no id's
        for slots in self._layout.categorical:
            row = -2 if slots.unknown_row is None else slots.first_row + slots.unknown_row
            unknown += [row] * slots.length
        if not unknown:
            return tf.constant(0)
        return tf.reduce_sum(tf.cast(packed["ids"] == tf.constant(unknown, tf.int64), tf.int32), axis=1)

    def _predictions(self, packed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        predictions = {n: tf.cast(p, tf.float32) for n, p in self._call_model(packed).items()}
        if not self._recipe.score_weights:
            return predictions
        return {**predictions, "score": _score(predictions, self._recipe)}

    def _serving_default(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._answer(raw.one_batch(inputs))

    def _serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._answer(self._parsed(examples))

    def _transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._packed(self._with_catalogs(self._parsed(examples)))


def _apart(function: Callable) -> Callable:
    """The same, where TensorFlow would save an attribute as a function to be called from outside."""
    return lambda inputs: function(inputs)


def _score(predictions: dict[str, tf.Tensor], recipe: Recipe) -> tf.Tensor:
    weights = recipe.score_weights
    predictions = {n: _number(predictions[n]) for n in weights}
    if recipe.serving.fusion == "product":
        return tf.exp(
            tf.add_n([w * tf.math.log(tf.maximum(predictions[n], 1e-12)) for n, w in weights.items()])
        )
    return tf.add_n([w * predictions[n] for n, w in weights.items()])


def _number(prediction: tf.Tensor) -> tf.Tensor:
    """`[rows]`: of an ordinal task's probabilities the expected class."""
    if prediction.shape.rank == 1:
        return prediction
    return tf.reduce_sum(prediction * tf.range(prediction.shape[1], dtype=prediction.dtype), axis=1)


def export(
    model: Any,
    transform_layer: Any,
    recipe: Recipe,
    folder: str | Path,
    catalogs: Mapping[str, pa.Table] = MappingProxyType({}),
) -> None:
    """Saves the servable to `folder`, with defaults for inputs left out and a model card.

    Args:
      model: a `MultiTaskModel`.
      transform_layer: TensorFlow Transform's, of the recipe's preprocessing.
      recipe: the trainer's.
      folder: of the SavedModel.
      catalogs: those that the model holds (see `Recipe.held_columns`), in the types of ingestion.
    """
    with tempfile.TemporaryDirectory(prefix="catalogs-") as keys:
        held = hold(catalogs, recipe, Path(keys))
        servable = Servable(model, transform_layer, recipe, held)
        signatures = {name: getattr(servable, name) for name in servable.inputs}
        tf.saved_model.save(servable, str(folder), signatures=signatures)
    saved = _write_defaults(Path(folder), recipe)
    card = {
        "recipe": recipe.name,
        "recipe_sha256": hashlib.sha256(recipe.model_dump_json().encode()).hexdigest(),
        "recipe_sha256_of": "the recipe as JSON with every default, as the trainer has it: description, "
        "encoders, content, dead, gates, evaluation, fuse, tune, beam, notify and the serving check are the "
        "defaults, as their edits alone train nothing anew; the digest of all is `recipe` in push.json",
        "signatures": {
            name: {
                "inputs": {n: _form(spec) for n, spec in specs.items()},
                # as they were saved: asked for them, a function would be traced once more
                "outputs": {n: _saved_form(info) for n, info in sorted(saved[name].outputs.items())},
            }
            for name, specs in servable.inputs.items()
        },
        "tasks": {n: t.kind for n, t in recipe.tasks.items()},
        "classes": {n: t.classes for n, t in recipe.tasks.items() if t.kind in CLASS_KINDS},
        "inputs": {n: _input(c) for n, c in recipe.request_columns.items()},
        "catalogs": {
            n: {"key": c.key, "columns": recipe.held_columns[n], "rows": c.rows} for n, c in held.items()
        },
        **_private_key(recipe),
        "keras": type(model).__name__,
        "calibration": {n: {"method": c.method, **c.parameters} for n, c in model.calibrators.items()},
        "downsampling": recipe.downsampling and recipe.downsampling.model_dump(),
    }
    extra = Path(folder, "assets.extra")
    extra.mkdir(exist_ok=True)
    (extra / CARD).write_text(json.dumps(card, indent=1))
    warmup.write(extra, recipe, servable.inputs)


def _input(column: Column) -> dict[str, Any]:
    return {
        "type": column.type,
        "unit": _UNITS.get(column.type),
        **({"private": True} if column.private else {}),
    }


def _private_key(recipe: Recipe) -> dict[str, str]:
    """Which key the ids in the vocabularies were hashed with."""
    if not any(column.private for column in recipe.request_columns.values()):
        return {}
    return {"private_key_id": Hasher.from_environment().key_id}


def _form(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}  # null: any number


def _saved_form(info: meta_graph_pb2.TensorInfo) -> dict[str, Any]:
    return _form(tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype)))


def _write_defaults(folder: Path, recipe: Recipe) -> Mapping[str, meta_graph_pb2.SignatureDef]:
    """Returns the signatures as they are in the file."""
    # Python's writer has no argument for SignatureDef.defaults; TensorFlow Serving reads the field.
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    for signature in {"serving_default", "rank"} & set(signatures):
        for name, column in recipe.request_columns.items():
            value = tf.make_tensor_proto(raw.default(column))
            signatures[signature].defaults[name].CopyFrom(value)
    path.write_bytes(saved.SerializeToString(deterministic=True))
    fingerprint = folder / "fingerprint.pb"  # of the file as it was before this edit
    fingerprint.unlink(missing_ok=True)
    return signatures
