"""The gate: may this model replace the one that serves?"""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Evaluation
from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import passed, read_verdicts, write_verdicts
from pipeline.evaluation.files import METRICS
from pipeline.evaluation.gates import Gate as MetricGate
from pipeline.evaluation.gates import Verdict, judge_all
from pipeline.evaluation.table import MetricsTable


@component
def Gate(
    evaluation: InputArtifact[Evaluation],
    check: InputArtifact[VerdictArtifact],
    gates: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
) -> None:
    """Judges every gate of the recipe and the serving check; blesses only where none failed."""
    table = MetricsTable.read(Path(evaluation.uri, METRICS))
    verdicts = (
        judge_all([MetricGate(**g) for g in json.loads(gates)], table)
        if gates != "none"
        else [Verdict("skipped", "the recipe says `gates: none`: nothing was asked of the metrics")]
    )
    verdicts = [*verdicts, *read_verdicts(check.uri)]
    write_verdicts(verdict.uri, verdicts)
    blessed = passed(verdicts)
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    blessing.set_int_custom_property("blessed", int(blessed))
