"""Trains a model once, and keeps what a comparison asks of it: scores, history, cost."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import digests
from pipeline.compare.rows import Rows
from pipeline.evaluation.records import prediction_column
from pipeline.plan import trainer_code
from pipeline.recipe import Recipe
from pipeline.train import trained_part
from pipeline.trainer_files import HISTORY
from serving.interrupts import not_lost

SCORES, FACTS = "scores.parquet", "facts.json"
_BATCH, _TIMED = 8192, 1000


@dataclass(frozen=True)
class Facts:
    """Attributes:
    parameters: how many weights the model has, the embedding table among them.
    predict_seconds: to score 1,000 rows at once, the median of ten.
    """

    parameters: int
    predict_seconds: float


class Models:
    """Trained models below a folder, each in one named by its settings, seed, rows and code."""

    def __init__(self, folder: Path, rows: Rows):
        self.folder = folder
        self.rows = rows
        self._folders: dict[str, Path] = {}
        self._codes: dict[tuple[str, ...], str] = {}  # each takes half a second

    def folder_of(self, recipe: Recipe) -> Path:
        """Where a recipe's model is, or will be."""
        settings = trained_part(recipe).model_dump_json()
        if settings not in self._folders:
            what = digests.text_digest(settings, self.rows.content, self._code(recipe))
            self._folders[settings] = self.folder / what
        return self._folders[settings]

    def _code(self, recipe: Recipe) -> str:
        parts = (recipe.model.architecture, recipe.weighting, recipe.training.optimizer.embedding)
        names = tuple(part.name for part in parts)
        if names not in self._codes:
            self._codes[names] = trainer_code(recipe)
        return self._codes[names]

    @cached_property
    def measuring_code(self) -> str:
        """Digest of the code that metrics are made by."""
        return digests.code_digest("pipeline.evaluation.engine")

    def has(self, recipe: Recipe) -> bool:
        """Whether it is trained."""
        return (self.folder_of(recipe) / FACTS).is_file()

    def train(self, recipe: Recipe, show: Callable[[dict], None]) -> None:
        """Trains it, from where an earlier attempt stopped, unless that is done.

        Raises:
          ValueError: a part of the recipe does not fit its tasks.
          FloatingPointError: training diverged.
        """
        if self.has(recipe):
            return
        with not_lost():
            import keras

            from pipeline import trainer

        folder = self.folder_of(recipe)
        folder.mkdir(parents=True, exist_ok=True)
        keras.backend.clear_session()
        keras.utils.set_random_seed(recipe.training.seed)
        rows = self.rows
        train, validation = (_of(recipe, arrays) for arrays in (rows.train, rows.validation))
        model, history = trainer.fit(
            recipe, rows.layout, train, validation, folder, (folder, folder.name), show, rows.vectors
        )
        scores = model.predict(rows.test_inputs, batch_size=_BATCH, verbose=0)
        columns = {f"{t}/prediction": prediction_column(np.asarray(scores[t])) for t in recipe.tasks}
        pq.write_table(pa.table(columns), folder / SCORES)
        (folder / HISTORY).write_text(json.dumps(history, indent=1))
        part = folder / f".partial-{os.getpid()}"
        part.write_text(
            json.dumps(
                asdict(Facts(model.count_params(), _predict_seconds(model, rows.test_inputs))), indent=1
            )
        )
        part.replace(folder / FACTS)  # the last: its presence says that all is there
        for left in (*folder.glob("state.npz"), *folder.glob("model.keras")):
            left.unlink()
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)

    def scores(self, recipe: Recipe) -> pa.Table:
        """`<task>/prediction` of the test rows."""
        return pq.read_table(self.folder_of(recipe) / SCORES)

    def history(self, recipe: Recipe) -> dict:
        """As `trainer.fit` returns it."""
        return json.loads((self.folder_of(recipe) / HISTORY).read_text())

    def facts(self, recipe: Recipe) -> Facts:
        """What it costs."""
        return Facts(**json.loads((self.folder_of(recipe) / FACTS).read_text()))


def _of(recipe: Recipe, arrays: tuple) -> tuple:
    """Labels, weights and masks of the recipe's tasks alone."""
    inputs, *others = arrays
    return inputs, *[{t: part[t] for t in recipe.tasks} for part in others]


def _predict_seconds(model: Any, inputs: dict) -> float:
    rows = {name: np.resize(values, (_TIMED, *values.shape[1:])) for name, values in inputs.items()}
    model.predict_on_batch(rows)  # builds the graph
    taken = []
    for _ in range(10):
        started = time.perf_counter()
        model.predict_on_batch(rows)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))
