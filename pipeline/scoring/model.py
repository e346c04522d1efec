"""What a pushed model takes and gives, from its file, without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.evaluation.asked import unfit_inputs
from pipeline.recipe import Recipe
from serving.export import ABSENT


@dataclass(frozen=True)
class Takes:
    """The names of a model's inputs (of `serving_default`) and outputs (of `serve_examples`), in order."""

    inputs: list[str]
    outputs: list[str]


def takes(recipe: Recipe, model: Path) -> Takes:
    """What a model takes and gives.

    Raises:
      ValueError: its file is broken, a signature is not there, or an input is no column of the recipe known
        before the impression, or one of another type.
    """
    try:
        content = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
        signatures = content.meta_graphs[0].signature_def
    except (DecodeError, IndexError):
        raise ValueError(f"{model / 'saved_model.pb'} is broken or cut off") from None
    for name in ("serve_examples", "serving_default"):
        if name not in signatures:
            there = ", ".join(sorted(n for n in signatures if not n.startswith("__"))) or "none"
            raise ValueError(f"{model} has no signature {name}; its signatures are {there}")
    inputs = {
        name: tf.TensorSpec(tf.TensorShape(tensor.tensor_shape), tf.dtypes.as_dtype(tensor.dtype))
        for name, tensor in signatures["serving_default"].inputs.items()
    }
    if unfit := unfit_inputs(recipe, inputs):
        raise ValueError(f"{model} {unfit}; is it a model of this recipe?")
    outputs = sorted(signatures["serve_examples"].outputs)
    first = [name for name in (*recipe.tasks, "score", ABSENT) if name in outputs]
    return Takes(sorted(inputs), [*first, *(name for name in outputs if name not in first)])
