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
from pipeline.evaluation.table import OVERALL, MetricsTable


@component
def Gate(
    evaluation: InputArtifact[Evaluation],
    check: InputArtifact[VerdictArtifact],
    gates: Parameter[str],
    waiting: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
) -> None:
    """Judges every gate of the recipe and the serving check; blesses only where none failed. `waiting` is JSON
    of the tasks that the test rows cannot have a label of yet: task → why, and these are not judged."""
    table, unknown = MetricsTable.read(Path(evaluation.uri, METRICS)), json.loads(waiting)
    asked = [] if gates == "none" else [MetricGate(**g) for g in json.loads(gates)]
    verdicts = (
        judge_all([gate for gate in asked if gate.task not in unknown], table)
        + [
            Verdict(
                "skipped",
                f"{gate.task}: {gate.metric} is not judged: {unknown[gate.task]}",
                gate.task,
                gate.metric,
                gate.slice or OVERALL,
            )
            for gate in asked
            if gate.task in unknown
        ]
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
