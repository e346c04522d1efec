"""Scores the candidate and the serving model on a split, once, into columns that every metric reads."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation.asked import AskedModel, no_baseline
from pipeline.evaluation.records import Faults, prediction_column
from pipeline.evaluation.table import NoBaseline
from pipeline.evaluation.unseen import seen_in_training, unseen
from pipeline.examples import UnusableExamples, decoder, serialized_batches, single_values
from pipeline.recipe import Recipe
from pipeline.slice_names import NEW_ROLES


def write_scores(
    recipe: Recipe,
    examples: str,
    model: str,
    baseline: str | None,
    path: str | Path,
    split: str = "test",
    slices: bool = True,
    not_compared: Mapping[str, str] | None = None,
) -> Faults:
    """Writes one Parquet file with roles, slices, labels and predictions of every row of the split.

    Args:
      recipe: names roles, tasks, slices and references.
      examples: folder of raw examples.
      model: SavedModel of the candidate.
      baseline: SavedModel that serves now, or None. A task that cannot be compared with it gets no baseline
        column; why is in the file's `Faults`, and so is what either model did wrong.
      path: the file to write.
      split: the split to score.
      slices: whether the columns of slices are wanted; those of new users and items take a pass over the
        training split.
      not_compared: tasks that are not to be compared with the serving model → why.

    Returns:
      The file's `Faults`: a model that cannot be asked does not raise, and where it is the candidate all its
      predictions from there on are NaN.

    Raises:
      UnusableExamples: a file of the split is broken, or holds something else.
    """
    candidate = AskedModel(model)
    serving = AskedModel(baseline) if baseline else None
    missing = {task: NoBaseline(why) for task, why in (not_compared or {}).items()}
    missing |= no_baseline(recipe, candidate, serving)
    compared = [task for task in recipe.tasks if task not in missing and task in candidate.outputs]
    columns = _columns(recipe)
    decode = decoder(columns).DecodeBatch
    seen = seen_in_training(recipe, examples) if slices else {}
    writer = None
    for batch in serialized_batches(examples, split):
        try:
            found = decode(batch.numpy())
        except RuntimeError as error:
            raise UnusableExamples(
                f"Split-{split} of {examples} holds what is no tf.Example of this recipe: {error}"
            ) from None
        arrays = {n: single_values(c) for n, c in zip(found.schema.names, found.columns)}
        table = {f"role/{r}": arrays[c] for r, c in recipe.roles.named().items()}
        table |= {f"slice/{c}": arrays[c] for c in recipe.slice_columns if slices}
        table |= {
            f"slice/{name}": unseen(arrays[recipe.roles.named()[role]], seen[role])
            for name, role in NEW_ROLES.items()
            if role in seen
        }
        table |= {n: arrays[n] for n in columns if "/" in n}
        predictions = candidate.scores(batch, [*recipe.tasks, "score"])
        before = serving.scores(batch, compared) if compared else {}
        table |= {n: prediction_column(p) for n, p in predictions.items() if n == "score"}
        for task in recipe.tasks:
            nothing = np.full(len(batch), np.nan)  # of a candidate that could not be loaded
            table[f"{task}/prediction"] = prediction_column(predictions.get(task, nothing))
            if task in compared:
                table[f"{task}/baseline"] = prediction_column(before[task])
        table = pa.table({n: _text(v) for n, v in table.items()})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    missing |= no_baseline(recipe, candidate, serving)  # it may have failed since
    faults = Faults(candidate.fault, missing)
    if writer is not None:
        writer.add_key_value_metadata(faults.metadata())
        writer.close()
    return faults


def _columns(recipe: Recipe) -> dict[str, str]:
    """The columns of examples that scores carry, with their types."""
    names = {*recipe.roles.named().values(), *recipe.slice_columns}
    found: dict[str, str] = {n: recipe.columns[n].type for n in sorted(names)}
    for task in recipe.tasks:
        found |= {f"{task}/{part}": "float" for part in ("label", "mask", "weight")}
        found |= {f"{task}/reference/{r}": "float" for r in recipe.evaluation.references.get(task, {})}
    return found


def _text(values: pa.Array | np.ndarray) -> pa.Array | np.ndarray:
    if isinstance(values, pa.Array) and (
        pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    ):
        return values.cast(pa.string() if pa.types.is_binary(values.type) else pa.large_string())
    return values
