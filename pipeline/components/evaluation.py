"""Evaluation: the candidate and the serving model on test, per task and slice."""

from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline import progress
from pipeline.components.artifacts import METRICS, RELIABILITY, SCORES, Evaluation
from pipeline.evaluation.evaluate import evaluate_scores
from pipeline.evaluation.scoring import write_scores
from pipeline.recipe import Recipe


@component(use_beam=True)
def Evaluate(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    recipe: Parameter[str],
    baseline: Parameter[str],
    baseline_content: Parameter[str],
    code: Parameter[str],
    evaluation: OutputArtifact[Evaluation],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Scores test once with both models, then measures; `baseline` is a folder, or empty on a first run."""
    read = Recipe.model_validate_json(recipe)
    folder = Path(evaluation.uri)
    folder.mkdir(parents=True, exist_ok=True)
    progress.tell("scoring the test rows")
    write_scores(
        read, examples.uri, path_utils.serving_model_path(model.uri), baseline or None, folder / SCORES
    )
    progress.tell("metrics and intervals")
    evaluated = evaluate_scores(
        folder / SCORES,
        tasks=[(n, t.kind) for n, t in read.tasks.items()],
        slices=read.slices,
        output=folder / "tfma",
        roles=list(read.roles.named()),
        replicates=read.evaluation.replicates,
        max_slice_values=read.evaluation.max_slice_values,
        k=read.evaluation.k,
        quantile=read.evaluation.quantile,
        seed=0,
        use_weight=read.evaluation.weighted,
        pipeline_args=_arguments(beam_pipeline),
    )
    evaluated.table.write(folder / METRICS)
    pq.write_table(evaluated.reliability, folder / RELIABILITY)


def _arguments(pipeline: beam.Pipeline) -> tuple[str, ...]:
    return tuple(
        f"--{k}={v}"
        for k, v in pipeline.options.get_all_options(drop_default=True).items()
        if isinstance(v, (str, int, float)) and not isinstance(v, bool)
    )
