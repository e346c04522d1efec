"""The end of a span's ingestion where no process of `mtl run` looks after it."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import read_verdicts, write_verdicts
from pipeline.runners.kept_steps import keep_steps, step_of
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
    pass. `home` is the recommender's folder, `told` the JSON of `Ingestion.told`; what the steps made is kept
    with the run."""
    made = version_of(Path(home), Path(examples.uri), Path(statistics.uri), **json.loads(told))
    SpanStore(Path(home)).add(span, made)
    write_verdicts(verdict.uri, read_verdicts(gate.uri))
    run_dir, job = Path(home, "runs", made.run), Path(verdict.uri).parents[1]
    run_dir.mkdir(parents=True, exist_ok=True)
    steps = {"Ingest": {"examples": [examples]}, "StatisticsGen": {"statistics": [statistics]}}
    steps |= {"DataGate": {"verdict": [gate]}}
    keep_steps(run_dir, [step_of(f"{step}.{span}", of, job) for step, of in steps.items()])
