"""The data gate: statistics that break the schema stop the run, in words."""

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import write_verdicts
from pipeline.evaluation.gates import Verdict
from pipeline.ingest.errors import DataError


@component
def DataGate(
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    code: Parameter[str],
    span: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
) -> None:
    """Raises DataError, naming every column that broke the schema and how, in every split; of a span, by
    its name."""
    found: list[str] = []
    of = f"{span}, " if span else ""
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        uri = artifact_utils.get_split_uri([anomalies], split)
        proto = anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(f"{uri}/SchemaDiff.pb"))
        if proto.HasField("dataset_anomaly_info"):
            found.append(f"{of}{split}: {proto.dataset_anomaly_info.description}")
        for column, info in sorted(proto.anomaly_info.items()):
            found.append(f"{of}{split}: {column}: {info.description or info.short_description}")
    if found:
        raise DataError(
            "the data breaks the schema (schema.pbtxt beside the recipe says what is allowed):\n  "
            + "\n  ".join(found)
        )
    write_verdicts(
        verdict.uri,
        [Verdict("passed", f"schema: every split keeps to it{f' ({span})' if span else ''}", gate="schema")],
    )
