"""Ingestion: logs and catalogs → examples in three splits."""

import shutil
from pathlib import Path

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline import progress
from pipeline.ingest.run import ingest
from pipeline.recipe import Recipe

SPLITS = ("train", "validation", "test")


@component(use_beam=True)
def Ingest(
    recipe: Parameter[str],
    input_dir: Parameter[str],
    content: Parameter[str],
    code: Parameter[str],
    dead_dir: Parameter[str],
    examples: OutputArtifact[standard_artifacts.Examples],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Ingests `input_dir`; `content` and `code` are digests, here for the cache key alone."""
    letters = Path(dead_dir, "dead_letters.jsonl")
    letters.unlink(missing_ok=True)  # an earlier run's, which would be taken for this one's
    ingest(
        Recipe.model_validate_json(recipe),
        Path(input_dir),
        Path(examples.uri),
        beam_pipeline,
        dead_dir=Path(dead_dir),
        progress=lambda rows: progress.tell(f"{rows:,} rows"),
    )
    if letters.is_file():  # with the rows it belongs to, as well as where it survives a failure
        shutil.copy(letters, examples.uri)
    examples.split_names = "[" + ", ".join(f'"{s}"' for s in SPLITS) + "]"
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    examples.set_string_custom_property("file_format", "tfrecords_gzip")
