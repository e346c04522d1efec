"""The serving check: the pushed form, alone in a process, answers test rows as offline prediction did."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import write_verdicts
from pipeline.evaluation.asked import AskedModel
from pipeline.evaluation.gates import Verdict
from pipeline.examples import serialized_batches
from pipeline.recipe import Recipe
from serving.check import check
from serving.inputs import parse_examples
from serving.requests import json_lines, to_rows


@component
def ServingCheck(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    recipe: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
) -> None:
    """Writes one verdict, and the rows asked about as requests; never raises because of the model."""
    read = Recipe.model_validate_json(recipe)
    path = path_utils.serving_model_path(model.uri)
    serialized = next(serialized_batches(examples.uri, "test", read.serving.check_rows))
    offline = AskedModel(path)
    expected = offline.predict(serialized)
    rows = {n: x.numpy() for n, x in parse_examples(serialized, read).items()}
    found = None if offline.fault else check(path, rows, expected, read.serving.tolerance)
    if found is None or found.error:
        error = f"the model {offline.fault}" if found is None else found.error
        said = Verdict("failed", f"serving check: {error}", gate="serving")
    else:
        said = Verdict(
            "passed",
            f"serving check: {found.rows} test rows answered in a process without this project "
            f"as offline, to {max(found.largest_difference, 1e-9):.1g}; loaded in {found.load_seconds:.1f} s",
            gate="serving",
        )
    write_verdicts(verdict.uri, [said])
    Path(verdict.uri, "requests.jsonl").write_text(json_lines(to_rows(rows)), encoding="utf-8")
