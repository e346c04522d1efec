"""The skew gate: is what is asked of the served model like what was trained on?"""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import write_verdicts
from pipeline.components.window import read_statistics
from pipeline.drift.requests import read_requests, request_files
from pipeline.drift.skew import judge_skew
from pipeline.evaluation.gates import Verdict
from pipeline.ingest.splits import SPLITS
from pipeline.recipe import Recipe
from pipeline.recipe.skew import Skew


@component
def SkewGate(
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    recipe: Parameter[str],
    skew: Parameter[str],
    columns: Parameter[str],
    input_dir: Parameter[str],
    files: Parameter[str],
    span: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
) -> None:
    """Writes verdicts. `columns` is JSON of the names to compare; `files` is a digest of the log's, for the cache
    key alone; `span` is empty, or JSON of the name, begin and end in milliseconds of the one whose requests
    are compared."""
    read, bounds = Recipe.model_validate_json(recipe), Skew.model_validate_json(skew)
    name, *within = json.loads(span) if span else ("",)
    wanted = {column: read.columns[column] for column in json.loads(columns)}
    requests = read_requests(
        request_files(bounds.requests, Path(input_dir)), wanted, tuple(within) if span else None
    )
    if requests is None:
        of = f" of {name}" if span else ""
        said = f"skew: no request{of} is in {', '.join(bounds.requests)}, so that nothing is compared"
        found = [Verdict("skipped", said, gate="skew")]
    else:
        training = read_statistics(Path(statistics.uri), SPLITS[0])
        asked = f"{requests.statistics.num_examples:,} rows of {requests.requests:,} requests"
        named = f"{asked} of {name}" if span else f"the newest {asked}"
        found = judge_skew(requests, named, training, list(wanted), read.roles.user, bounds)
    write_verdicts(verdict.uri, found)
