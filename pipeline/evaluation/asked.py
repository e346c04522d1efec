"""A SavedModel that is asked for predictions. Whatever it does wrong is told in words, not raised."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.evaluation.table import NoBaseline
from pipeline.recipe import Recipe
from serving.export import ABSENT, CARD
from serving.inputs import dtype, is_list

_LONGEST = 200  # characters of an error message


class AskedModel:
    """Predicts serialized examples by `serve_examples`.

    Attributes:
      fault: why it cannot be loaded or called, the end of a sentence; None while it can.
      outputs: output -> shape of a row's prediction; empty where it could not be loaded.
      inputs: column that `serving_default` takes -> its tensor, rows first.
      card: what the export noted of it; empty for a model of other origin.
    """

    def __init__(self, folder: str | Path):
        self.fault: str | None = None
        self.outputs: dict[str, tuple[int, ...]] = {}
        self.inputs: dict[str, tf.TensorSpec] = {}
        self.card: dict = {}
        # of files and graphs that may be anything, an error may be anything too
        try:
            self._loaded = tf.saved_model.load(str(folder))  # signatures hold no reference to their variables
            signatures = self._loaded.signatures
            missing = [n for n in ("serve_examples", "serving_default") if n not in signatures]
            if missing:
                raise ValueError(f"it has no signature {' or '.join(missing)}")
            self._answer = signatures["serve_examples"]
            shapes = {name: spec.shape[1:] for name, spec in self._answer.structured_outputs.items()}
            self.outputs = {name: _width(tuple(shape.as_list())) for name, shape in shapes.items()}
            self.inputs = dict(signatures["serving_default"].structured_input_signature[1])
            card = Path(folder, "assets.extra", CARD)
            self.card = json.loads(card.read_text()) if card.is_file() else {}
        except Exception as error:
            self.fault = f"could not be loaded ({_message(error)})"
            self.outputs = {}

    def predict(self, examples: tf.Tensor) -> dict[str, np.ndarray]:
        """Each output's predictions of serialized examples `[rows]`; float32 NaN once there is a fault."""
        if self.fault is None:
            try:
                return {n: x.numpy() for n, x in self._answer(examples=examples).items()}
            except Exception as error:
                self.fault = f"failed on test rows ({_message(error)})"
        return {
            name: np.full((len(examples), *(size or 1 for size in shape)), np.nan, np.float32)
            for name, shape in self.outputs.items()
        }

    def scores(self, examples: tf.Tensor, outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Of those of `outputs` that it has the predictions as float64, `(rows,)` or `(rows, classes)`; NaN
        once there is a fault, such as an answer that is of another form."""
        answer = self.predict(examples)
        if self.fault is None:
            try:
                return {n: _numbers(n, answer[n], len(examples)) for n in outputs if n in answer}
            except ValueError as error:
                self.fault = f"gave what is no prediction a row: {error}"
                answer = self.predict(examples)
        return {n: answer[n].astype(np.float64) for n in outputs if n in answer}


def _width(shape: tuple[int, ...]) -> tuple[int, ...]:
    """One number a row may stand in a column of its own."""
    return () if shape == (1,) else shape


def _numbers(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    if values.dtype.kind in "OSU":
        raise ValueError(f"its output {name} is text")
    if values.ndim not in (1, 2) or len(values) != rows:
        raise ValueError(f"of {rows:,} rows its output {name} has shape {list(values.shape)}")
    return values.astype(np.float64).reshape(rows, *_width(values.shape[1:]))


def no_baseline(recipe: Recipe, candidate: AskedModel, serving: AskedModel | None) -> dict[str, NoBaseline]:
    """Tasks that cannot be compared with the serving model, and why.

    It is no fault of its where it has no such task: there is nothing to compare then. It is where it cannot
    be asked: its predictions on inputs that it has not been trained for would make the new model look good.
    """
    if serving is None:
        return dict.fromkeys(recipe.tasks, NoBaseline("there is no serving model yet"))
    fault = serving.fault or unfit_inputs(recipe, serving.inputs)
    if fault:
        return dict.fromkeys(recipe.tasks, NoBaseline(f"the serving model {fault}", fault=True))
    found = {}
    have = ", ".join(n for n in sorted(serving.outputs) if n not in ("score", ABSENT)) or "none"
    for task, spec in recipe.tasks.items():
        kind = serving.card.get("tasks", {}).get(task, spec.kind)
        classes = serving.card.get("classes", {}).get(task)
        if task not in serving.outputs:
            found[task] = NoBaseline(f"the serving model has no task {task}; it has {have}")
        elif kind != spec.kind:
            found[task] = NoBaseline(f"the serving model's {task} is {kind}, and here it is {spec.kind}")
        elif task in candidate.outputs and (
            candidate.outputs[task] != serving.outputs[task]
            or (classes is not None and classes != candidate.card.get("classes", {}).get(task))
        ):
            found[task] = NoBaseline(f"the serving model's {task} has other classes")
    return found


def unfit_inputs(recipe: Recipe, inputs: Mapping[str, tf.TensorSpec]) -> str | None:
    """Where a column that a model reads is not in the examples, or is of another type there.

    Args:
      recipe: of the examples.
      inputs: column that `serving_default` takes -> its tensor, rows first.
    """
    columns = recipe.example_columns
    lacking = [name for name in inputs if name not in columns]
    if lacking:
        return f"reads {', '.join(lacking)}, which the examples do not have"
    for name, spec in inputs.items():
        ours = (dtype(columns[name]), is_list(columns[name]))
        theirs = (spec.dtype, spec.shape.rank == 2)
        if ours != theirs:
            return f"reads {name} as {_form(*theirs)}, which the examples have as {_form(*ours)}"
    return None


def _form(kind: tf.DType, several: bool) -> str:
    return f"list of {kind.name}" if several else kind.name


def _message(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:_LONGEST]
