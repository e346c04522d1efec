"""Which tables the vectors of a recipe's features are in: given, or made by its encoders."""

import json
from collections.abc import Callable
from pathlib import Path

from pipeline import digests
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import file_digest, matching
from pipeline.recipe import Recipe
from pipeline.recipe.features import ENCODED
from pipeline.vectors import Table


def vector_tables(
    recipe: Recipe, input_dir: Path, home: Path, progress: Callable[[str, float | None], None] | None = None
) -> dict[str, Table]:
    """Feature → where its vectors are. Content that has no vector yet is encoded now.

    Raises:
      DataError: a pattern matches no file, a Parquet file is none, or too much content fails.
    """
    found = {}
    for name, feature in recipe.features.items():
        if feature.kind == "precomputed":
            files = _files(name, feature.files, input_dir)
            digest = digests.text_digest(json.dumps([file_digest(Path(f)) for f in files]))
            found[name] = Table(files, digest, feature.key, feature.column)
    if any(f.kind in ENCODED for f in recipe.features.values()):
        from pipeline.content_encoders import encode

        for name, made in encode(recipe, input_dir, home, progress).items():
            path = Path(made.path)
            found[name] = Table(
                [str(file) for file in sorted(path.glob("*.parquet"))],
                path.name,  # such a folder is named by the digest of what is in it
                reason="reason",
                dimension=made.dimension,
                encoder=made.encoder_digest,
                reasons=made.counts["reasons"],
                encoder_version=made.encoder_version,
            )
    return {name: found[name] for name in recipe.keyed_vectors}


def _files(name: str, patterns: list[str], input_dir: Path) -> list[str]:
    for pattern in patterns:
        if not matching([pattern], input_dir):
            raise DataError(f"features.{name}: no file matches '{pattern}' in {input_dir}")
    return [str(input_dir / file) for file in matching(patterns, input_dir)]
