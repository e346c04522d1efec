"""The window of a run of spans: their examples and statistics as those of one data set."""

import json
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from pipeline.components.ingestion import FORMATS, SPLITS
from pipeline.ingest.span_rows import HEAD, TAIL
from pipeline.spans.statistics import merge
from pipeline.spans.window import parts_of, write_window

_FILE = "FeatureStats.pb"


@component
def Window(
    spans: InputArtifact[list[standard_artifacts.Examples]],
    span_statistics: InputArtifact[list[standard_artifacts.ExampleStatistics]],
    evaluated: Parameter[int],
    base: Parameter[int],
    held: Parameter[str],
    code: Parameter[str],
    examples: OutputArtifact[standard_artifacts.Examples],
    statistics: OutputArtifact[standard_artifacts.ExampleStatistics],
) -> None:
    """Links the spans' examples, and merges their statistics.

    Args:
      spans, span_statistics: of all spans, which their property `span` tells apart.
      evaluated: the span that is evaluated; the others are before it.
      base: the span that the model which training begins from evaluated; 0 where it begins from none.
      held: JSON of the spans from which on the labels of a task are held out: task → span.
      code: its digest, for the cache key alone.
    """
    folders = {artifact.span: Path(artifact.uri) for artifact in spans}
    write_window(folders, evaluated, Path(examples.uri), base or None, json.loads(held))
    examples.split_names = statistics.split_names = json.dumps(SPLITS)
    examples.span = statistics.span = evaluated
    for name, value in FORMATS.items():
        examples.set_string_custom_property(name, value)
    of = {artifact.span: artifact for artifact in span_statistics}
    for split, parts in parts_of(folders, evaluated, base or None).items():
        if split not in SPLITS:
            continue
        found = [read_statistics(Path(of[number].uri), part) for number, part in parts]
        io_utils.write_bytes_file(
            str(Path(statistics.uri, f"Split-{split}", _FILE)),
            statistics_pb2.DatasetFeatureStatisticsList(datasets=[merge(found)]).SerializeToString(),
        )


def read_span(folder: str) -> statistics_pb2.DatasetFeatureStatistics:
    """The statistics of all of a span, from those of its head and its tail."""
    return merge([read_statistics(Path(folder), part) for part in (HEAD, TAIL)])


def read_statistics(folder: Path, split: str) -> statistics_pb2.DatasetFeatureStatistics:
    """A split's statistics."""
    path = folder / f"Split-{split}" / _FILE
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets[0]
