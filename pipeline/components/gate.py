"""The gate: may this model replace the one that serves?"""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Evaluation, Watched
from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import passed, read_verdicts, write_verdicts
from pipeline.evaluation.files import METRICS
from pipeline.evaluation.gates import Gate as MetricGate
from pipeline.evaluation.gates import Verdict, judge_all
from pipeline.evaluation.table import OVERALL, MetricsTable
from pipeline.watch.found import read_watched
from pipeline.watch.gates import VectorGate, judge_vectors


@component
def Gate(
    evaluation: InputArtifact[Evaluation],
    check: InputArtifact[VerdictArtifact],
    gates: Parameter[str],
    vector_gates: Parameter[str],
    serving: Parameter[str],
    waiting: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    drift: InputArtifact[VerdictArtifact] = None,
    skew: InputArtifact[VerdictArtifact] = None,
    watched: InputArtifact[Watched] = None,
) -> None:
    """Judges every gate of the recipe, drift, skew and the serving check; blesses only where none failed.

    `serving` is the number of the version that serves, or empty; `waiting` is JSON of the tasks that the test
    rows cannot have a label of yet: task → why, and these are not judged.
    """
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
    if watched is not None:
        of_vectors = [VectorGate(**g) for g in json.loads(vector_gates)]
        verdicts += judge_vectors(of_vectors, read_watched(watched.uri), serving or None)
    told = [verdict for of in (drift, skew, check) if of is not None for verdict in read_verdicts(of.uri)]
    verdicts = [*verdicts, *told]
    write_verdicts(verdict.uri, verdicts)
    blessed = passed(verdicts)
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    blessing.set_int_custom_property("blessed", int(blessed))
