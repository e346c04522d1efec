"""Vocabularies of the categorical features, from training rows alone."""

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Verdict, Vocabularies
from pipeline.recipe import Recipe
from pipeline.vocabulary import write_vocabularies


@component
def BuildVocabularies(
    examples: InputArtifact[standard_artifacts.Examples],
    gate: InputArtifact[Verdict],
    recipe: Parameter[str],
    code: Parameter[str],
    vocabularies: OutputArtifact[Vocabularies],
) -> None:
    """Counts the values of each feature; `gate` is there so that this waits for the data gate."""
    write_vocabularies(Recipe.model_validate_json(recipe), examples.uri, vocabularies.uri)
