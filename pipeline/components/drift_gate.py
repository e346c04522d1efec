"""The drift gate: is the span like those before it?"""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Vectors
from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import write_verdicts
from pipeline.components.window import read_span
from pipeline.drift.judge import Spans, judge
from pipeline.drift.served import Served
from pipeline.drift.vectors import HeldVectors, span_vectors
from pipeline.recipe import Recipe
from pipeline.recipe.drift import Drift


@component
def DriftGate(
    spans: InputArtifact[list[standard_artifacts.Examples]],
    span_statistics: InputArtifact[list[standard_artifacts.ExampleStatistics]],
    names: Parameter[str],
    columns: Parameter[str],
    labels: Parameter[str],
    labelled: Parameter[str],
    late: Parameter[str],
    recipe: Parameter[str],
    bounds: Parameter[str],
    baseline: Parameter[str],
    baseline_content: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
    vectors: InputArtifact[Vectors] = None,
) -> None:
    """Writes verdicts. `names` is JSON of the spans' numbers, names and whether they were refused for drift, of
    which the last is judged; `columns`, `labels`, `labelled`, `late` and `bounds` are JSON of what `judge` takes. `baseline` is the
    version that serves, where the model holds vectors by key and there is one; else empty. Examples are read
    where features are vectors."""
    read, named = Recipe.model_validate_json(recipe), json.loads(names)
    statistics = {artifact.span: artifact.uri for artifact in span_statistics}
    examples = {artifact.span: artifact.uri for artifact in spans}
    of_vectors = {}
    if read.vectors:
        held = HeldVectors(Path(vectors.uri), read.keyed_vectors) if vectors else None
        of_vectors = {name: span_vectors(read, examples[number], held) for number, name, _ in named}
    served = Served.of(read, Path(vectors.uri), Path(baseline)) if vectors and baseline else None
    given = Spans(
        {name: read_span(statistics[number]) for number, name, _ in named},
        json.loads(columns),
        json.loads(labels),
        read.roles.user,
        of_vectors,
        [name for _, name, drifted in named if drifted],
        list(read.history),
        served,
        json.loads(labelled),
        json.loads(late),
    )
    write_verdicts(verdict.uri, judge(given, Drift.model_validate_json(bounds)))
