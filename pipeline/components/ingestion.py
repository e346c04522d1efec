"""Ingestion: logs and catalogs → examples in three splits."""

from pathlib import Path

import apache_beam as beam
from tfx import v1 as tfx

from pipeline import progress
from pipeline.ingest import ingest
from pipeline.recipe import Recipe

SPLITS = ("train", "validation", "test")


@tfx.dsl.components.component(use_beam=True)
def Ingest(
    recipe: tfx.dsl.components.Parameter[str],
    input_dir: tfx.dsl.components.Parameter[str],
    content: tfx.dsl.components.Parameter[str],
    code: tfx.dsl.components.Parameter[str],
    dead_dir: tfx.dsl.components.Parameter[str],
    examples: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Examples],
    beam_pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Ingests `input_dir`; `content` and `code` are digests, here for the cache key alone."""
    ingest(Recipe.model_validate_json(recipe), Path(input_dir), Path(examples.uri),
           beam_pipeline=beam_pipeline, dead_dir=Path(dead_dir),
           progress=lambda rows: progress.tell(f"{rows:,} rows"))
    examples.split_names = "[" + ", ".join(f'"{s}"' for s in SPLITS) + "]"
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    examples.set_string_custom_property("file_format", "tfrecords_gzip")
