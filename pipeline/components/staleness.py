"""Staleness: the models of earlier spans on the rows of this one."""

import json
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.components.artifacts import Staleness as Measured
from pipeline.evaluation.staleness import Aged, Rows, measure_ages
from pipeline.recipe import Recipe
from pipeline.staleness import FILE


@component
def Staleness(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    recipe: Parameter[str],
    span: Parameter[str],
    measured: Parameter[str],
    code: Parameter[str],
    staleness: OutputArtifact[Measured],
) -> None:
    """Measures the new model on the rows of its own span, `span`, and earlier ones there and on other spans.

    `measured` is JSON of what `pipeline.staleness.measured_spans` gives, with the `split` that holds a span's
    rows and how many they are, `total`.
    """
    told = Recipe.model_validate_json(recipe)
    new = Aged(0, span, "", path_utils.serving_model_path(model.uri))
    found: dict[str, Any] = {"rows": 0, "tasks": {}, "late": []}
    for at in json.loads(measured):
        models = [Aged(m["age"], m["span"], m["version"], m["path"]) for m in at["models"]]
        own = at["span"] == span
        ages = measure_ages(
            told,
            Rows(examples.uri, at["split"], at["total"]),
            at["tasks"],
            [new, *models] if own else models,
        )
        if own:
            found |= ages
        else:
            found["late"].append({"span": at["span"]} | ages)
    Path(staleness.uri).mkdir(parents=True, exist_ok=True)
    Path(staleness.uri, FILE).write_text(json.dumps(found, indent=1))
