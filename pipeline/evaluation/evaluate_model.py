"""From a SavedModel and examples to scores, the metrics table and reliability curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import progress
from pipeline.evaluation.evaluate import Evaluated, evaluate_scores
from pipeline.evaluation.files import METRICS, RELIABILITY, SCORES
from pipeline.evaluation.scoring import write_scores
from pipeline.evaluation.table import MetricsTable
from pipeline.examples import UnusableExamples
from pipeline.recipe import Recipe


@dataclass(frozen=True)
class Elsewhere:
    """Tasks that are measured on other rows than those of the test split.

    Attributes:
      split: whose rows.
      span: its name.
      tasks: their names.
      not_compared: those of them that are not compared with the serving model → why, the end of a sentence.
      favoured: those of them that the comparison favours the new model in → why, the end of a sentence.
      exposed: those of them of whose rows the new model was trained on other labels.
    """

    split: str
    span: str
    tasks: Sequence[str]
    not_compared: Mapping[str, str] = field(default_factory=dict)
    favoured: Mapping[str, str] = field(default_factory=dict)
    exposed: Sequence[str] = ()


def evaluate_model(
    recipe: Recipe,
    examples: str,
    model: str,
    baseline: str | None,
    folder: Path,
    named_slices: Sequence[str],
    options: PipelineOptions,
    span: str = "",
    elsewhere: Sequence[Elsewhere] = (),
) -> Evaluated:
    """Scores the test split once with both models, then measures as the recipe says; the same of other splits
    for the tasks that are measured there.

    Args:
      recipe: what is measured, and how.
      examples: folder of examples as ingestion writes them.
      model: the SavedModel.
      baseline: the SavedModel that serves now, or None.
      folder: gets the scores, the table, the curves and `tfma/`; is made.
      named_slices: with values, measured however rare they are: `recipe.gated_slices`, or what is left of it
        where the recipe is a part without gates.
      options: of the Beam pipeline that TFMA runs in.
      span: the name of that of the test rows, where they are one span.
      elsewhere: tasks that are not measured on these.

    Raises:
      UnusableExamples: there is no test row, or a file of examples is broken.
      see `write_scores` and `evaluate_scores`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    away = {task for of in elsewhere for task in of.tasks}
    own = Elsewhere("test", span, [task for task in recipe.tasks if task not in away])
    found: list[tuple[str, Evaluated]] = []
    for of in (own, *elsewhere):
        rows = f"the rows of {of.span}" if elsewhere else "the test rows"
        progress.tell(f"scoring {rows}")
        scores, tfma = folder / SCORES, folder / "tfma"
        if of is not own:
            scores, tfma = folder / f"{of.split}-{SCORES}", folder / f"{of.split}-tfma"
        write_scores(recipe, examples, model, baseline, scores, of.split, not_compared=of.not_compared)
        if not scores.is_file():
            raise UnusableExamples(f"{examples} has no rows in Split-{of.split}")
        if not of.tasks:
            continue
        progress.tell("metrics and intervals")
        evaluated = evaluate_scores(
            scores,
            tasks=[(n, recipe.tasks[n].kind) for n in of.tasks],
            slices=recipe.slices,
            output=tfma,
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
        found.append((of.span, evaluated))
    favoured = {task: why for of in elsewhere for task, why in of.favoured.items()}
    exposed = [task for of in elsewhere for task in of.exposed]
    table = MetricsTable.joined([(of.table, at) for at, of in found], list(recipe.tasks), favoured, exposed)
    whole = Evaluated(table, pa.concat_tables([of.reliability for _, of in found]))
    whole.table.write(folder / METRICS)
    pq.write_table(whole.reliability, folder / RELIABILITY)
    return whole
