"""Whether a recipe's private columns can be hashed, and with which key."""

from __future__ import annotations

from pathlib import Path

from pipeline.recipe import Recipe
from pipeline.recipe.errors import Problem, RecipeError
from serving.private import Hasher, NoKey


def private_columns(recipe: Recipe) -> list[str]:
    """Their paths in the recipe."""
    sources = {"sources.log": recipe.sources.log}
    sources |= {f"sources.catalogs.{name}": source for name, source in recipe.sources.catalogs.items()}
    sources |= {f"sources.events.{name}": source for name, source in recipe.sources.events.items()}
    return [
        f"{path}.columns.{name}"
        for path, source in sources.items()
        for name, column in source.columns.items()
        if column.private
    ]


def key_id(recipe: Recipe, recipe_file: Path) -> str:
    """Tells the key that the recipe's private columns are hashed with from others; empty where it has none.

    Raises:
      RecipeError: it has private columns, and there is no usable key.
    """
    columns = private_columns(recipe)
    if not columns:
        return ""
    try:
        return Hasher.from_environment().key_id
    except NoKey as error:
        raise RecipeError(
            str(recipe_file), [Problem(path, f"is private, and {error}") for path in columns]
        ) from None
