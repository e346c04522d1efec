"""Where a run's steps leave what they make: the recommender's folder, or a bucket that is mounted here."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.recipe import Recipe
from pipeline.recipe.errors import Problem, RecipeError
from pipeline.runners import buckets

FOLDER = "artifacts"
METADATA = "metadata.sqlite"  # TFX's, beside that folder


def place_artifacts(recipe: Recipe, recipe_file: Path, home: Path) -> str:
    """Makes `home/artifacts` what the recipe's `pipeline_root` asks for.

    With one it is a link to the folder in the bucket, by the recommender's name: what reads or writes
    artifacts needs no other path for them, and the metadata stay true where the folder is moved there or back.

    Args:
      recipe: of the run.
      recipe_file: names it in messages.
      home: the recommender's folder, held by this process.

    Returns:
      Why the bucket may not be one, for a person; most often empty.

    Raises:
      RecipeError: the bucket is not mounted, artifacts are elsewhere already or gone, or others' are there.
      OSError: a mount does not answer.
    """
    try:
        _place(recipe, home / FOLDER)
    except ValueError as error:
        raise RecipeError(str(recipe_file), [Problem("pipeline_root", str(error))]) from None
    return buckets.doubt(recipe.pipeline_root) if recipe.pipeline_root is not None else ""


def _place(recipe: Recipe, at: Path) -> None:
    now = Path(os.readlink(at)) if at.is_symlink() else None
    if recipe.pipeline_root is None:
        if now is not None and now.is_relative_to(buckets.MOUNT):
            raise ValueError(
                f"is not there any more, and the artifacts are in {buckets.remotely(str(now))}; give it "
                f"again, or have them here: rm {at} && mv {now} {at}"
            )
        _refuse_if_gone(at)
        return
    root = buckets.folder(recipe.pipeline_root, recipe.pipeline_root)
    wanted = root / recipe.name / FOLDER
    if now == wanted:
        _refuse_if_gone(at)
        wanted.mkdir(parents=True, exist_ok=True)
        return
    if now is not None or at.exists():
        raise ValueError(
            f"the artifacts of earlier runs are in {now or at}; have them there, mkdir -p {wanted.parent} && "
            f"mv {now or at} {wanted} && ln -sfn {wanted} {at}, or give another --output"
        )
    if wanted.is_dir() and any(wanted.iterdir()):
        # numbers of artifacts are of this folder's metadata: those of another would be written over
        raise ValueError(
            f"{wanted} has the artifacts of another --output, of which {at.parent} knows nothing; give each "
            "a gs://BUCKET/FOLDER of its own"
        )
    wanted.mkdir(parents=True, exist_ok=True)
    at.symlink_to(wanted)


def _refuse_if_gone(at: Path) -> None:
    """Metadata that know of artifacts, and a link to them that leads nowhere: an empty folder in their place
    would have the next steps fail, or begin a second store below the mount that is to come back."""
    metadata = at.parent / METADATA
    if at.is_symlink() and not at.is_dir() and metadata.exists():
        raise ValueError(
            f"{os.readlink(at)}, where the artifacts of earlier runs are, is not there: mount what holds it; "
            f"or, if they are deleted for good, forget them, so that every step runs anew: rm {at} {metadata}"
        )
