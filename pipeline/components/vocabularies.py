"""Vocabularies of the categorical features, from training rows alone."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Vectors, Verdict, Vocabularies
from pipeline.held_catalogs import link_catalogs
from pipeline.recipe import Recipe
from pipeline.vectors import link_vectors
from pipeline.vocabulary import write_vocabularies


@component
def BuildVocabularies(
    examples: InputArtifact[standard_artifacts.Examples],
    recipe: Parameter[str],
    base: Parameter[str],
    base_content: Parameter[str],
    code: Parameter[str],
    vocabularies: OutputArtifact[Vocabularies],
    gate: InputArtifact[Verdict] = None,
    vectors: InputArtifact[Vectors] = None,
) -> None:
    """Counts the values of each feature; `gate` is there so that this waits for the data gate; spans have
    passed theirs before. The vectors that the model holds are linked beside the vocabularies, as the layout
    names both, and so are catalogs. `base` is the folder of the vocabularies that these grow from, or empty,
    and `base_content` its digest, for the cache key alone."""
    Path(vocabularies.uri).mkdir(parents=True, exist_ok=True)
    if vectors is not None:
        link_vectors(vectors.uri, vocabularies.uri)
    link_catalogs(examples.uri, vocabularies.uri)
    write_vocabularies(Recipe.model_validate_json(recipe), examples.uri, vocabularies.uri, base or None)
