"""`rank`: one user and context with many items. Which inputs are of the items, and how the others are shared."""

import tensorflow as tf

from pipeline.recipe import Recipe
from serving import inputs as raw


def item_columns(recipe: Recipe) -> list[str]:
    """The inputs that differ from item to item: the roles `item` and `position`, columns of catalogs joined on
    the item, and history by any of these. Empty where the recipe has no role `item`."""
    item = recipe.roles.item
    if item is None:
        return []
    found = {item, recipe.roles.position}
    for catalog in recipe.sources.catalogs.values():
        if (catalog.on or catalog.key) == item:
            found.update(catalog.columns)
    found.update(name for name, earlier in recipe.history.items() if found & set(earlier.by))
    return [name for name in recipe.request_columns if name in found]


def signature(recipe: Recipe) -> dict[str, tf.TensorSpec]:
    """The inputs of `rank`: of items as in `serving_default`, of all else one row: `[1]`, or `[1, length]`."""
    items = item_columns(recipe)
    return {
        name: spec if name in items else tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, name=name)
        for name, spec in raw.signature(recipe).items()
    }
