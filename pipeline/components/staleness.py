"""Staleness: the models of earlier spans on the rows of this one."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.components.artifacts import Staleness as Measured
from pipeline.evaluation.staleness import Aged, measure_ages
from pipeline.ingest.counts import Counts
from pipeline.recipe import Recipe
from pipeline.staleness import FILE


@component
def Staleness(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    recipe: Parameter[str],
    span: Parameter[str],
    older: Parameter[str],
    code: Parameter[str],
    staleness: OutputArtifact[Measured],
) -> None:
    """Measures the new model and those of `older`, the JSON of `pipeline.staleness.older_models`."""
    models = [Aged(0, span, "", path_utils.serving_model_path(model.uri))]
    models += [Aged(m["age"], m["span"], m["version"], m["path"]) for m in json.loads(older)]
    total = Counts.load(Path(examples.uri, "counts.json")).written["test"]
    found = measure_ages(Recipe.model_validate_json(recipe), examples.uri, total, models)
    Path(staleness.uri).mkdir(parents=True, exist_ok=True)
    Path(staleness.uri, FILE).write_text(json.dumps(found, indent=1))
