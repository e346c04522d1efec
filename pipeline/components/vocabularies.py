"""Vocabularies of the categorical features, from training rows alone."""

from tfx import v1 as tfx

from pipeline.components.artifacts import Verdict, Vocabularies
from pipeline.recipe import Recipe
from pipeline.vocabulary import write_vocabularies


@tfx.dsl.components.component
def BuildVocabularies(
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    gate: tfx.dsl.components.InputArtifact[Verdict],
    recipe: tfx.dsl.components.Parameter[str],
    code: tfx.dsl.components.Parameter[str],
    vocabularies: tfx.dsl.components.OutputArtifact[Vocabularies],
) -> None:
    """Counts the values of each feature; `gate` is there so that this waits for the data gate."""
    write_vocabularies(Recipe.model_validate_json(recipe), examples.uri, vocabularies.uri)
