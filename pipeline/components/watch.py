"""What the vectors in the rows are like, beside training's and those of the version that serves."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import Vectors, Watched
from pipeline.recipe import Recipe
from pipeline.watch.watch import watch


@component
def WatchVectors(
    examples: InputArtifact[standard_artifacts.Examples],
    recipe: Parameter[str],
    input_dir: Parameter[str],
    baseline: Parameter[str],
    baseline_content: Parameter[str],
    code: Parameter[str],
    watched: OutputArtifact[Watched],
    vectors: InputArtifact[Vectors] = None,
) -> None:
    """`baseline` is the folder of the version that serves, or empty. Pictures and texts below `input_dir` are
    only shown: a cached step shows what they were."""
    watch(
        Recipe.model_validate_json(recipe),
        examples.uri,
        vectors.uri if vectors else None,
        baseline or None,
        Path(input_dir),
        Path(watched.uri),
    )
