"""The rows of a split, as far as their vectors go: which keys they have, and which vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.records import key_hashes
from pipeline.examples import ExampleParser, shards, single_values
from pipeline.recipe import Recipe
from pipeline.watch.measure import Measure

SAMPLE = 2000  # items whose own vectors are kept, of a feature whose rows have them
_BATCH = 4096
_TYPES = {"int": pa.int64(), "string": pa.large_binary()}


class KeyRows:
    """Counts the rows of each key; memory is that of the distinct ones."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._waiting, self._distinct = 0, 0

    def add(self, keys: pa.Array) -> None:
        """Keys as large_binary, null where a row has none."""
        self._parts.append(pa.table({"key": keys, "rows": np.ones(len(keys), np.int64)}))
        self._waiting += len(keys)
        if self._waiting > max(1 << 20, self._distinct):
            self.total()

    def total(self) -> tuple[pa.Array, np.ndarray]:
        """Distinct keys, sorted, and the rows of each."""
        if not self._parts:
            return pa.array([], pa.large_binary()), np.empty(0, np.int64)
        everything = pa.concat_tables(self._parts).group_by("key").aggregate([("rows", "sum")])
        everything = everything.rename_columns({"rows_sum": "rows"}).sort_by("key")
        self._parts, self._waiting, self._distinct = [everything], 0, everything.num_rows
        return everything["key"].combine_chunks(), everything["rows"].to_numpy()


@dataclass
class Sample:
    """Items whose vectors stand in rows, with the rows that they were seen in: those whose keys have the
    lowest hashes, so that it is the same sample whatever the order."""

    keys: dict[int, bytes] = field(default_factory=dict)
    vectors: dict[int, np.ndarray] = field(default_factory=dict)
    rows: dict[str, dict[int, int]] = field(default_factory=dict)  # split → hash → rows
    _below: int = 2**64

    def add(self, split: str, keys: pa.Array, hashes: np.ndarray, vectors: np.ndarray) -> None:
        of = self.rows.setdefault(split, {})
        for i in np.flatnonzero((hashes < self._below) & (hashes != 0)).tolist():
            hashed = int(hashes[i])
            self.keys.setdefault(hashed, keys[i].as_py())
            self.vectors.setdefault(hashed, vectors[i])
            of[hashed] = of.get(hashed, 0) + 1
        if len(self.keys) > 2 * SAMPLE:
            kept = sorted(self.keys)[:SAMPLE]
            self._below = kept[-1] + 1
            for found in (self.keys, self.vectors, *self.rows.values()):
                for hashed in [h for h in found if h >= self._below]:
                    del found[hashed]


def owner(recipe: Recipe, feature: str) -> str | None:
    """The column of rows that says whose a feature's vector is; None where none does."""
    column = recipe.column_of(feature)
    for catalog in recipe.sources.catalogs.values():
        if column in catalog.columns:
            return catalog.on or catalog.key
    return recipe.roles.item


def read_rows(
    recipe: Recipe, examples: str, split: str, samples: dict[str, Sample]
) -> tuple[dict[str, KeyRows], dict[str, Measure]]:
    """Reads a split once.

    Args:
      recipe: names features.
      examples: folder of examples as ingestion writes them.
      split: its name.
      samples: of the features whose rows have vectors, by name; are added to.

    Returns:
      Column of keys → its keys, of features whose vectors the model holds; and feature → its vectors, of
      those whose rows have them.
    """
    keys = {recipe.column_of(name): KeyRows() for name in recipe.keyed_vectors}
    given = {n: Measure(f.dimension) for n, f in recipe.features.items() if f.kind == "vector"}
    owners = {name: owner(recipe, name) for name in given}
    types = {c: _TYPES[recipe.columns[c].expression_type] for c in {*keys, *owners.values()} - {None}}
    types |= {recipe.column_of(name): pa.float32() for name in given}
    parse = ExampleParser(pa.schema([(c, pa.large_list(kind)) for c, kind in sorted(types.items())]))
    for _, _, batch in parse.batches(shards(examples, split), _BATCH):
        for column, counted in keys.items():
            counted.add(_as_bytes(single_values(batch[column])))
        for name, measure in given.items():
            _add(measure, split, batch, recipe.column_of(name), owners[name], samples[name])
    return keys, given


def _add(
    measure: Measure, split: str, batch: pa.RecordBatch, column: str, by: str | None, sample: Sample
) -> None:
    dimension = len(measure.halves[0].mean)
    whole = pc.equal(pc.fill_null(pc.list_value_length(batch[column]), 0), dimension)
    vectors = batch[column].filter(whole).flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)
    finite = np.isfinite(vectors)
    there = finite.any(axis=1)  # as in preprocessing: what is not finite is 0, and nothing finite no vector
    vectors = np.where(finite, vectors, np.float32(0))[there]
    measure.rows += len(batch)
    if len(vectors) < len(batch):
        measure.reasons["the row has none"] += len(batch) - len(vectors)
    half = np.arange(len(vectors)) % 2 == 1
    if by is not None:
        keys = _as_bytes(single_values(batch[by])).filter(whole).filter(pa.array(there))
        hashes = key_hashes(keys)
        half = hashes >> 63 == 1
        sample.add(split, keys, hashes, vectors)
    measure.add(vectors, np.ones(len(vectors)), half)


def _as_bytes(column: pa.Array) -> pa.Array:
    """Keys as tables of vectors have them, in bytes."""
    if pa.types.is_integer(column.type):
        column = column.cast(pa.large_string())
    return column.cast(pa.large_binary())


def batches(rows: np.ndarray, size: int = 8192) -> Iterator[np.ndarray]:
    """Places `rows` in parts of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
