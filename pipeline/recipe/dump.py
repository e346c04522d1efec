"""A recipe back as YAML, every default written out."""

import yaml

from pipeline.recipe.model import Recipe


def resolved(recipe: Recipe) -> str:
    """The recipe with all its defaults; loading it gives the same recipe."""
    data = recipe.model_dump(mode="json", exclude_none=True)
    return yaml.dump(data, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
