"""The schema beside a recipe: does it know the recipe's columns?

What it allows of each column is the team's to edit; which columns there are is the recipe's. Its names
are read as text here, so that a recipe is checked without TensorFlow.
"""

import re
from pathlib import Path

from pipeline.recipe.errors import Problem, RecipeError
from pipeline.recipe.model import Recipe

NAME = "schema.pbtxt"


def schema_path(recipe_file: Path) -> Path:
    """Where a recipe's schema is, if it has one."""
    return recipe_file.with_name(NAME)


def check_schema(recipe: Recipe, recipe_file: Path) -> None:
    """Compares the columns named by the schema beside a recipe with the recipe's.

    Raises:
      RecipeError: the schema lacks columns, or has some that the recipe has not.
    """
    path = schema_path(recipe_file)
    if not path.is_file():
        return
    found = set(re.findall(r'^feature \{\s+name: "([^"]+)"', path.read_text(encoding="utf-8"), re.M))
    wanted = {*recipe.example_columns, "row/id"}
    for task in recipe.tasks:
        wanted |= {f"{task}/{part}" for part in ("label", "mask", "weight")}
        wanted |= {f"{task}/reference/{name}" for name in recipe.evaluation.references.get(task, {})}
    wrong = [f"lacks {name}" for name in sorted(wanted - found)]
    wrong += [f"has {name}, which the recipe has not" for name in sorted(found - wanted)]
    if wrong:
        raise RecipeError(
            str(path),
            [
                Problem(
                    "schema", "; ".join(wrong) + f". Write it anew: mtl recipe schema {recipe_file} > {path}"
                )
            ],
        )
