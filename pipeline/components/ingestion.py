"""Ingestion: logs and catalogs → examples in three splits."""

import json
import os
import shutil
from pathlib import Path

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline import progress
from pipeline.ingest.run import ingest
from pipeline.ingest.span_rows import HEAD, TAIL, SpanRows
from pipeline.recipe import Recipe

SPLITS = ("train", "validation", "test")
# how examples are written, in the words of TFX
FORMATS = {"payload_format": "FORMAT_TF_EXAMPLE", "file_format": "tfrecords_gzip"}


@component(use_beam=True)
def Ingest(
    recipe: Parameter[str],
    input_dir: Parameter[str],
    content: Parameter[str],
    code: Parameter[str],
    dead_dir: Parameter[str],
    span: Parameter[str],
    examples: OutputArtifact[standard_artifacts.Examples],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Ingests `input_dir`; `content` and `code` are digests, here for the cache key alone. `span` is empty, or
    the JSON of `number`, `version` and `rows` of one span, whose splits are its head and its tail."""
    of = json.loads(span) if span else None
    letters = Path(dead_dir, "dead_letters.jsonl")
    letters.unlink(missing_ok=True)  # an earlier run's, which would be taken for this one's
    ingest(
        Recipe.model_validate_json(recipe),
        Path(input_dir),
        Path(examples.uri),
        beam_pipeline,
        dead_dir=Path(dead_dir),
        progress=lambda rows: progress.tell(f"{rows:,} rows"),
        span=SpanRows.of_json(of["rows"]) if of else None,
    )
    if letters.is_file():  # with the rows it belongs to, as well as where it survives a failure
        shutil.copy(letters, examples.uri)
    names = SPLITS
    if of:
        names = (HEAD, TAIL)
        for split, name in zip(SPLITS, names, strict=False):
            os.rename(Path(examples.uri, f"Split-{split}"), Path(examples.uri, f"Split-{name}"))
        shutil.rmtree(Path(examples.uri, f"Split-{SPLITS[-1]}"))  # empty: what is later is not of the span
        examples.span, examples.version = of["number"], of["version"]
    examples.split_names = json.dumps(names)
    for name, value in FORMATS.items():
        examples.set_string_custom_property(name, value)
