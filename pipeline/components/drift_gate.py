"""The drift gate: is the span like those before it?"""

import json

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import write_verdicts
from pipeline.components.window import read_span
from pipeline.drift.judge import judge
from pipeline.recipe.drift import Drift


@component
def DriftGate(
    span_statistics: InputArtifact[list[standard_artifacts.ExampleStatistics]],
    names: Parameter[str],
    columns: Parameter[str],
    labels: Parameter[str],
    user: Parameter[str],
    bounds: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
) -> None:
    """Writes verdicts. `names` is JSON of the spans' numbers and names, of which the last is judged; `columns`,
    `labels` and `bounds` are JSON of what `judge` takes, `user` is a column or empty."""
    of = {artifact.span: artifact for artifact in span_statistics}
    spans = {name: read_span(of[number].uri) for number, name in json.loads(names)}
    found = judge(
        spans,
        list(spans)[-1],
        json.loads(columns),
        json.loads(labels),
        user or None,
        Drift.model_validate_json(bounds),
    )
    write_verdicts(verdict.uri, found)
