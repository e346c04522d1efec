"""Which users and items were not in training."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.evaluation.records import key_hashes
from pipeline.examples import ExampleParser, shards, single_values
from pipeline.ingest.splits import EARLIER
from pipeline.recipe import Recipe
from pipeline.slice_names import NEW_ROLES

_TYPES = {"int": pa.int64(), "string": pa.large_binary()}


def seen_in_training(recipe: Recipe, examples: str) -> dict[str, np.ndarray]:
    """The hashes, sorted, of the users and of the items in the training split, and in what was trained on
    before it where training began from a model: 8 bytes a value.

    Returns:
      "user" and "item", as far as the recipe has these roles -> (values,) uint64.
    """
    roles = {r: c for r, c in recipe.roles.named().items() if r in NEW_ROLES.values()}
    found = {role: np.empty(0, np.uint64) for role in roles}
    if not roles:
        return found
    types = {column: _TYPES[recipe.columns[column].expression_type] for column in roles.values()}
    parse = ExampleParser(pa.schema([(column, pa.large_list(kind)) for column, kind in types.items()]))
    files = [*shards(examples, "train"), *shards(examples, EARLIER)]
    for _, _, batch in parse.batches(files, 4096):
        for role, column in roles.items():
            found[role] = np.union1d(found[role], np.unique(key_hashes(single_values(batch[column]))))
    return found


def unseen(column: pa.Array, seen: np.ndarray) -> pa.Array:
    """Whether each value of a column is not among those seen; null where it is missing."""
    hashes = key_hashes(column)
    places = np.minimum(np.searchsorted(seen, hashes), max(len(seen) - 1, 0))
    known = seen[places] == hashes if len(seen) else np.zeros(len(hashes), bool)
    return pa.array(~known, mask=hashes == 0)
