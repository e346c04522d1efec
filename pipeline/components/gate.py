"""The gate: may this model replace the one that serves?"""

import json
from pathlib import Path

from tfx import v1 as tfx

from pipeline.components.artifacts import Evaluation
from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.evaluation import METRICS
from pipeline.components.verdicts import passed, read_verdicts, write_verdicts
from pipeline.evaluation.gates import Gate as MetricGate
from pipeline.evaluation.gates import Verdict, judge_all
from pipeline.evaluation.table import MetricsTable


@tfx.dsl.components.component
def Gate(
    evaluation: tfx.dsl.components.InputArtifact[Evaluation],
    check: tfx.dsl.components.InputArtifact[VerdictArtifact],
    gates: tfx.dsl.components.Parameter[str],
    code: tfx.dsl.components.Parameter[str],
    verdict: tfx.dsl.components.OutputArtifact[VerdictArtifact],
    blessing: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ModelBlessing],
) -> None:
    """Judges every gate of the recipe and the serving check; blesses only where none failed."""
    table = MetricsTable.read(Path(evaluation.uri, METRICS))
    verdicts = judge_all([MetricGate(**g) for g in json.loads(gates)], table) if gates != "none" else [
        Verdict("skipped", "the recipe says `gates: none`: nothing was asked of the metrics")]
    verdicts = [*verdicts, *read_verdicts(check.uri)]
    write_verdicts(verdict.uri, verdicts)
    blessed = passed(verdicts)
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    blessing.set_int_custom_property("blessed", int(blessed))
