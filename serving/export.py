"""The SavedModel that TensorFlow Serving loads: model, preprocessing and signatures in one."""

import json
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.recipe import Recipe
from pipeline.recipe.tasks import CLASS_KINDS
from serving import inputs as raw

CARD = "model_card.json"
_UNITS = {"time": "milliseconds since 1970-01-01 UTC", "date": "days since 1970-01-01"}


class Servable(tf.Module):
    """Holds what the signatures use, so that variables and vocabularies are saved with them.

    Signatures (each returns one output a task, float32 `[rows]`, or `[rows, classes]` of probabilities in the
    order of the recipe's `classes`, and `score` where a task has a single number for it):
      serving_default: the recipe's input columns by name, as a web client sends them.
      serve_examples: `examples`, serialized tf.Examples of the same columns.
      transform_features: `examples` to the packed inputs of the model.
    """

    def __init__(self, model: Any, transform_layer: Any, recipe: Recipe):
        super().__init__()
        # Keras exports a second handle for each of its variables, and saves and restores that one alone:
        # TensorFlow Serving would find those of the functions without a value. So these are kept instead.
        self._call_model = lambda packed: model(packed, training=False)
        self.weights = [variable.value for variable in model.variables]
        self.transform = transform_layer
        self._recipe = recipe
        self.serving_default = tf.function(self._serving_default, [raw.signature(recipe)])
        examples = tf.TensorSpec([None], tf.string, name="examples")
        self.serve_examples = tf.function(self._serve_examples, [examples])
        self.transform_features = tf.function(self._transform_features, [examples])

    def _packed(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        columns = {name: raw.as_sparse(x) for name, x in inputs.items()}
        return {n: x for n, x in self.transform(columns).items() if "/" not in n}

    def _answer(self, packed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        predictions = {n: tf.cast(p, tf.float32) for n, p in self._call_model(packed).items()}
        if not self._recipe.score_weights:
            return predictions
        return {**predictions, "score": _score(predictions, self._recipe)}

    def _serving_default(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._answer(self._packed(raw.one_batch(inputs)))

    def _serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._answer(self._transform_features(examples))

    def _transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._packed(raw.parse_examples(examples, self._recipe))


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


def export(model: Any, transform_layer: Any, recipe: Recipe, folder: str | Path) -> None:
    """Saves the servable to `folder`, with defaults for inputs left out and a model card."""
    # without what training kept: a table's optimizer state is as large as the table
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    servable = Servable(bare, transform_layer, recipe)
    signatures = {
        name: getattr(servable, name) for name in ("serving_default", "serve_examples", "transform_features")
    }
    tf.saved_model.save(servable, str(folder), signatures=signatures)
    _write_defaults(Path(folder), recipe)
    card = {
        "recipe": recipe.name,
        "tasks": {n: t.kind for n, t in recipe.tasks.items()},
        "classes": {n: t.classes for n, t in recipe.tasks.items() if t.kind in CLASS_KINDS},
        "inputs": {n: {"type": c.type, "unit": _UNITS.get(c.type)} for n, c in recipe.input_columns.items()},
        "keras": type(model).__name__,
        "calibration": {n: {"method": c.method, **c.parameters} for n, c in model.calibrators.items()},
        "downsampling": recipe.downsampling and recipe.downsampling.model_dump(),
    }
    extra = Path(folder, "assets.extra")
    extra.mkdir(exist_ok=True)
    (extra / CARD).write_text(json.dumps(card, indent=1))


def _write_defaults(folder: Path, recipe: Recipe) -> None:
    # Python's writer has no argument for SignatureDef.defaults; TensorFlow Serving reads the field.
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    for name, column in recipe.input_columns.items():
        signature.defaults[name].CopyFrom(tf.make_tensor_proto(raw.default(column)))
    path.write_bytes(saved.SerializeToString(deterministic=True))
    fingerprint = folder / "fingerprint.pb"  # of the file as it was before this edit
    fingerprint.unlink(missing_ok=True)
