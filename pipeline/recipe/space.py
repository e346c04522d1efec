"""The recipes of a search space: settings by dotted path."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.recipe.model import Recipe


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of some settings.

    Args:
      recipe: whole, or a part of one.
      values: dotted path → value.

    Raises:
      KeyError: a path leads nowhere.
      pydantic.ValidationError: a value is of the wrong type, or out of bounds.
    """
    data = json.loads(recipe.model_dump_json())
    for path, value in values.items():
        *above, last = path.split(".")
        _at(data, above)[last] = value
    return Recipe.model_validate(data)


def value_at(recipe: Recipe, path: str) -> Any:
    """The value of a setting, in JSON's types. Raises KeyError where the path leads nowhere."""
    *above, last = path.split(".")
    return _at(json.loads(recipe.model_dump_json()), above)[last]


def _at(data: Any, keys: list[str]) -> dict[str, Any]:
    for key in keys:
        data = data[key] if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise KeyError(".".join(keys))
    return data
