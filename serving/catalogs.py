"""Catalogs inside the exported model: a request has the key, and the graph finds the columns by it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from pipeline.recipe import Recipe
from serving import inputs as raw


class HeldCatalog(tf.Module):
    """One catalog's columns by key, saved with the model: keys as a file of lines, columns as variables.

    A key that the catalog does not have, a missing one, and one with a line break (which no file of lines can
    hold) find missing values: what a client sends that has none.
    """

    def __init__(self, name: str, table: pa.Table, recipe: Recipe, folder: Path):
        """
        Args:
          name: of the catalog in the recipe.
          table: its key and columns, in the types of ingestion.
          recipe: says which columns are held.
          folder: gets the file of keys, which must be there until the model is saved.
        """
        super().__init__()
        catalog = recipe.sources.catalogs[name]
        key = table[catalog.key].combine_chunks().cast(pa.string())
        usable = pc.invert(pc.match_substring_regex(key, r"[\r\n]|^$")).fill_null(False)
        table, key = table.filter(usable), key.filter(usable)
        path = folder / f"catalog_{name}.keys.txt"
        path.write_bytes("".join(f"{k}\n" for k in key.to_pylist()).encode())
        lines = tf.lookup.TextFileIndex
        self._lines = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(path), tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER
            ),
            -1,
            name=f"catalog_{name}",  # by which servers that share tables tell them apart
        )
        self._columns = {
            n: tf.Variable(_values(table[n], raw.dtype(recipe.columns[n])), trainable=False)
            for n in recipe.held_columns[name]
        }
        self.key, self.rows = catalog.on or catalog.key, len(key)

    def __call__(self, key: tf.Tensor) -> dict[str, tf.Tensor]:
        """Each column's values for keys `[rows]`: `[rows]`, or `[rows, length]` of lists and vectors."""
        if key.dtype != tf.string:
            missing = key == raw.MISSING[key.dtype]
            key = tf.where(missing, "", tf.strings.as_string(key))
        rows = 1 + self._lines.lookup(key)  # row 0 is for keys that are not there
        return {name: tf.gather(values, rows) for name, values in self._columns.items()}


def hold(tables: Mapping[str, pa.Table], recipe: Recipe, folder: Path) -> dict[str, HeldCatalog]:
    """Every catalog of `tables`; see `HeldCatalog`."""
    return {name: HeldCatalog(name, table, recipe, folder) for name, table in tables.items()}


def _values(column: pa.ChunkedArray, dtype: tf.DType) -> np.ndarray:
    """A column as the model takes it, after one row of missing values."""
    column, missing = column.combine_chunks(), raw.MISSING[dtype]
    kind = object if dtype == tf.string else dtype.as_numpy_dtype
    if not pa.types.is_list(column.type):
        found = np.full(1 + len(column), missing, kind)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        found[1:][there] = _plain(column.drop_null())
        return found
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    found = np.full((1 + len(column), max(1, *lengths.tolist(), 1)), missing, kind)
    rows = np.repeat(np.arange(len(column)), lengths)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    found[1 + rows, places] = _plain(column.flatten())
    return found


def _plain(values: pa.Array) -> Any:
    if pa.types.is_string(values.type):
        values = values.cast(pa.binary())
    return values.to_numpy(zero_copy_only=False)
