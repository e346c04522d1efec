"""Evaluation: the candidate and the serving model on test, per task and slice."""

import json
from pathlib import Path

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.components.artifacts import Evaluation
from pipeline.evaluation.evaluate_model import Elsewhere, evaluate_model
from pipeline.recipe import Recipe


@component(use_beam=True)
def Evaluate(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    recipe: Parameter[str],
    named_slices: Parameter[str],
    baseline: Parameter[str],
    baseline_content: Parameter[str],
    elsewhere: Parameter[str],
    span: Parameter[str],
    code: Parameter[str],
    evaluation: OutputArtifact[Evaluation],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Scores test once with both models, then measures.

    `recipe` has no gates, so that another bound measures nothing anew; `named_slices` is a JSON list of the
    slices that they are on. `baseline` is a folder, or empty on a first run. `span` is the name of that of
    test, or empty; `elsewhere` JSON of the `Elsewhere`s of tasks that are measured on another.
    """
    evaluate_model(
        Recipe.model_validate_json(recipe),
        examples.uri,
        path_utils.serving_model_path(model.uri),
        baseline or None,
        Path(evaluation.uri),
        json.loads(named_slices),
        beam_pipeline.options,
        span,
        [Elsewhere(**of) for of in json.loads(elsewhere)],
    )
