"""The end of a span's ingestion where no process of `mtl run` looks after it."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import read_verdicts, write_verdicts
from pipeline.spans.store import SpanStore, version_of


@component
def KeepSpan(
    examples: InputArtifact[standard_artifacts.Examples],
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    gate: InputArtifact[VerdictArtifact],
    home: Parameter[str],
    span: Parameter[str],
    told: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
) -> None:
    """Remembers that a version of `span` was ingested and has kept to the schema: once the data gate let it
    pass. `home` is the recommender's folder, `told` the JSON of `Ingestion.told`."""
    made = version_of(Path(home), Path(examples.uri), Path(statistics.uri), **json.loads(told))
    SpanStore(Path(home)).add(span, made)
    write_verdicts(verdict.uri, read_verdicts(gate.uri))
