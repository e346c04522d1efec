"""Evaluation: the candidate and the serving model on test, per task and slice."""

from pathlib import Path

import apache_beam as beam
from tfx import v1 as tfx
from tfx.utils import path_utils

from pipeline import progress
from pipeline.components.artifacts import Evaluation
from pipeline.evaluation.evaluate import evaluate_scores
from pipeline.evaluation.scoring import write_scores
from pipeline.recipe import Recipe

SCORES = "scores.parquet"
METRICS = "metrics.parquet"


@tfx.dsl.components.component(use_beam=True)
def Evaluate(
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    recipe: tfx.dsl.components.Parameter[str],
    baseline: tfx.dsl.components.Parameter[str],
    baseline_content: tfx.dsl.components.Parameter[str],
    code: tfx.dsl.components.Parameter[str],
    evaluation: tfx.dsl.components.OutputArtifact[Evaluation],
    beam_pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Scores test once with both models, then measures; `baseline` is a folder, or empty on a first run."""
    read = Recipe.model_validate_json(recipe)
    folder = Path(evaluation.uri)
    folder.mkdir(parents=True, exist_ok=True)
    progress.tell("scoring the test rows")
    write_scores(read, examples.uri, path_utils.serving_model_path(model.uri), baseline or None, folder / SCORES)
    progress.tell("metrics and intervals")
    table = evaluate_scores(
        folder / SCORES, tasks=[(n, t.kind) for n, t in read.tasks.items()], slices=read.evaluation.slices,
        output=folder / "tfma", user_role=read.roles.user is not None, replicates=read.evaluation.replicates,
        seed=0, use_weight=read.evaluation.weighted,
        pipeline_args=_arguments(beam_pipeline))
    table.write(folder / METRICS)


def _arguments(pipeline: beam.Pipeline) -> tuple[str, ...]:
    return tuple(f"--{k}={v}" for k, v in pipeline.options.get_all_options(drop_default=True).items()
                 if isinstance(v, (str, int, float)) and not isinstance(v, bool))
