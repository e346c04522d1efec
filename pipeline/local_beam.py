"""Beam on this machine, as a recipe's `beam:` says."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.recipe import Recipe


def local_pipeline(recipe: Recipe) -> beam.Pipeline:
    """A pipeline without steps."""
    return beam.Pipeline(options=PipelineOptions(recipe.beam.arguments()))
