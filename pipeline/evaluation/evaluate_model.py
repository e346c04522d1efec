"""From a SavedModel and examples to scores, the metrics table and reliability curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import progress
from pipeline.evaluation.evaluate import Evaluated, evaluate_scores
from pipeline.evaluation.files import METRICS, RELIABILITY, SCORES
from pipeline.evaluation.scoring import write_scores
from pipeline.examples import UnusableExamples
from pipeline.recipe import Recipe


def evaluate_model(
    recipe: Recipe,
    examples: str,
    model: str,
    baseline: str | None,
    folder: Path,
    named_slices: Sequence[str],
    options: PipelineOptions,
) -> Evaluated:
    """Scores the test split once with both models, then measures as the recipe says.

    Args:
      recipe: what is measured, and how.
      examples: folder of examples as ingestion writes them.
      model: the SavedModel.
      baseline: the SavedModel that serves now, or None.
      folder: gets the scores, the table, the curves and `tfma/`; is made.
      named_slices: with values, measured however rare they are: `recipe.gated_slices`, or what is left of it
        where the recipe is a part without gates.
      options: of the Beam pipeline that TFMA runs in.

    Raises:
      UnusableExamples: there is no test row, or a file of examples is broken.
      see `write_scores` and `evaluate_scores`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress.tell("scoring the test rows")
    write_scores(recipe, examples, model, baseline, folder / SCORES)
    if not (folder / SCORES).is_file():
        raise UnusableExamples(f"{examples} has no rows in Split-test")
    progress.tell("metrics and intervals")
    evaluated = evaluate_scores(
        folder / SCORES,
        tasks=[(n, t.kind) for n, t in recipe.tasks.items()],
        slices=recipe.slices,
        output=folder / "tfma",
        roles=list(recipe.roles.named()),
        replicates=recipe.evaluation.replicates,
        max_slice_values=recipe.evaluation.max_slice_values,
        k=recipe.evaluation.k,
        quantile=recipe.evaluation.quantile,
        seed=0,
        use_weight=recipe.evaluation.weighted,
        named_slices=named_slices,
        options=options,
    )
    evaluated.table.write(folder / METRICS)
    pq.write_table(evaluated.reliability, folder / RELIABILITY)
    return evaluated
