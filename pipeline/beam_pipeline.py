"""Beam where a recipe's `beam:` says."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.recipe import Recipe


def beam_options(recipe: Recipe) -> PipelineOptions:
    """The recipe's settings as Beam has them."""
    return PipelineOptions(recipe.beam.arguments())


def beam_pipeline(recipe: Recipe) -> beam.Pipeline:
    """A pipeline without steps."""
    return beam.Pipeline(options=beam_options(recipe))
