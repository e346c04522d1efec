"""The rows that models are trained and judged on, from a run's folder; read when first needed."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import digests
from pipeline.recipe import Recipe


@dataclass(frozen=True)
class Rows:
    """Attributes:
    recipe: of the run; it names roles and tasks.
    examples: the run's examples, of which test is read.
    transformed: its transformed examples, of training and validation.
    graph: its transform graph.
    kept: a folder; test is transformed once and kept here.
    """

    recipe: Recipe
    examples: Path
    transformed: Path
    graph: Path
    kept: Path

    @cached_property
    def content(self) -> str:
        """Digest of all rows and of how they are transformed."""
        parts = (self.examples / "Split-test", self.transformed, self.graph)
        return digests.text_digest(*map(digests.folder_digest, parts))

    @cached_property
    def layout(self) -> Any:
        from mtl_models import Layout

        return Layout.from_dict(json.loads((self.graph / "layout.json").read_text()))

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """See `trainer.held_vectors`."""
        from pipeline import trainer

        return trainer.held_vectors(self.graph, self.layout)

    @cached_property
    def train(self) -> tuple[dict, dict, dict, dict]:
        """See `trainer.read_arrays`."""
        return self._read("train")

    @cached_property
    def validation(self) -> tuple[dict, dict, dict, dict]:
        """See `trainer.read_arrays`."""
        return self._read("validation")

    @cached_property
    def test_inputs(self) -> dict[str, np.ndarray]:
        """What a model takes of the test rows."""
        self._transform_test()
        with np.load(self._inputs) as read:
            return dict(read)

    @cached_property
    def judged(self) -> pa.Table:
        """Of the test rows `role/user` (a row's number where the recipe has no user), and of each task
        label, mask and weight."""
        self._transform_test()
        return pq.read_table(self._judged)

    def _read(self, split: str) -> tuple[dict, dict, dict, dict]:
        from pipeline import trainer

        return trainer.read_arrays([str(self.transformed / f"Split-{split}" / "*")], self.layout, self.recipe)

    @property
    def _inputs(self) -> Path:
        return self.kept / f"test-{self.content}.npz"

    @property
    def _judged(self) -> Path:
        return self.kept / f"test-{self.content}.parquet"

    def _transform_test(self) -> None:
        if self._judged.is_file():
            return
        # a quarter of a minute to import, and not needed where everything is kept
        import tensorflow as tf
        import tensorflow_transform as tft

        from pipeline.examples import decoder, serialized_batches, single_values

        user = self.recipe.roles.user
        columns = {f"{t}/{part}": "float" for t in self.recipe.tasks for part in ("label", "mask", "weight")}
        columns |= {user: self.recipe.columns[user].type} if user else {}
        decode = decoder(columns).DecodeBatch
        transform = tft.TFTransformOutput(str(self.graph))
        layer, spec = transform.transform_features_layer(), transform.raw_feature_spec()
        inputs, judged = [], []
        for serialized in serialized_batches(self.examples, "test"):
            made = layer(tf.io.parse_example(serialized, spec))
            inputs.append({n: v.numpy() for n, v in made.items() if "/" not in n})
            batch = decode(serialized.numpy())
            found = {n: single_values(c) for n, c in zip(batch.schema.names, batch.columns)}
            judged.append(
                pa.table({n: v for n, v in found.items() if "/" in n} | {"role/user": found.get(user)})
                if user
                else pa.table(found)
            )
        table = pa.concat_tables(judged)
        if not user:
            table = table.append_column("role/user", pa.array(np.arange(len(table))))
        self.kept.mkdir(parents=True, exist_ok=True)
        whole = {n: np.concatenate([part[n] for part in inputs]) for n in inputs[0]}
        part = self.kept / f".partial-{os.getpid()}"
        with part.open("wb") as file:
            np.savez(file, **whole)
        part.replace(self._inputs)
        pq.write_table(table, part)  # the last: its presence says that both are whole
        part.replace(self._judged)
