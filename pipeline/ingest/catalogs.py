"""Catalogs: read once, then joined to batches of the log by key, and by time where rows change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.ingest.as_of import AsOf
from pipeline.ingest.batch import DeadLetter, Problem
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import resolve
from pipeline.ingest.read import check_columns, read
from pipeline.recipe.parts import Catalog

_PLACE = ("\0file", "\0position")


@dataclass
class CatalogRows:
    """A catalog as read: its table, and the rows that could not be used."""

    table: pa.Table
    read: int = 0
    dead: list[DeadLetter] = field(default_factory=list)


def load_catalog(catalog: Catalog, name: str, input_dir: Path, wanted: list[str]) -> CatalogRows:
    """Reads a catalog whole.

    Args:
      catalog: its part of the recipe.
      name: its name in the recipe.
      input_dir: where its files are.
      wanted: the columns to keep, besides key and time.

    Raises:
      DataError: a file or column is missing, there are no rows, or a key repeats where no time tells its rows
        apart.
    """
    what = f"sources.catalogs.{name}"
    files = resolve(catalog, input_dir, what)
    check_columns(input_dir, files, catalog, what)
    needed = [catalog.key, *([catalog.time] if catalog.time else [])]
    columns = [*needed, *(n for n in catalog.columns if n in wanted and n not in needed)]
    rows = CatalogRows(pa.table({}))
    parts = []
    for file in files:
        for batch in read(input_dir, file, catalog, columns):
            rows.read += len(batch.positions) + len(batch.unreadable)
            for column in needed:
                nulls = np.flatnonzero(batch.columns[column].is_null())
                batch.flag(
                    nulls,
                    lambda _, c=column: Problem(f"{c} is missing", f"{c} is missing, which the join needs"),
                )
            rows.dead += batch.drop_problems(file)
            parts.append(
                pa.table(
                    {
                        **batch.columns,
                        _PLACE[0]: pa.repeat(file, len(batch.positions)),
                        _PLACE[1]: batch.positions,
                    }
                )
            )
    table = pa.concat_tables(parts) if parts else pa.table({})
    if not table.num_rows:
        first = f": {rows.dead[0].problem.reason}, and the like" if rows.dead else ""
        raise DataError(
            f"{what}: {', '.join(files)} {'has' if len(files) == 1 else 'have'} no usable rows{first}"
        )
    if catalog.time is None:
        refuse_repeats(table[catalog.key], table[_PLACE[0]], table[_PLACE[1]], f"{what}: {catalog.key}")
    rows.table = table.drop_columns(list(_PLACE)).combine_chunks()
    return rows


def refuse_repeats(keys: pa.ChunkedArray, files: pa.Array, positions: pa.Array, what: str) -> None:
    """Raises DataError where a key is there twice, naming the second."""
    repeats = keys.to_pandas().duplicated().to_numpy()
    if repeats.any():
        second = int(np.flatnonzero(repeats)[0])
        raise DataError(
            f"{what} {keys[second].as_py()!r} is there more than once, again in {files[second].as_py()}, row "
            f"{positions[second].as_py()} ({repeats.sum()} such rows); a key must be unique, or `time:` must "
            "name the column that says when a row began to hold"
        )


class Join:
    """Joins one catalog to batches of the log.

    With a time column, an impression at t gets the key's newest row with time ≤ t; of rows with equal key and
    time the last one read.
    """

    def __init__(self, catalog: Catalog, table: pa.Table):
        keys = _keys(table[catalog.key].combine_chunks())
        self._key = catalog.on or catalog.key
        self._columns = {n: table[n].combine_chunks() for n in table.column_names if n != catalog.key}
        self._of_time: AsOf | None = None
        if catalog.time is None:
            self._index = pd.Index(keys)
        else:
            codes, unique = pd.factorize(keys)
            self._index = pd.Index(unique)
            self._of_time = AsOf(codes, table[catalog.time].to_numpy())
        # pandas fills the index's hash table at first use, half filled for a second thread that comes then
        self._index.get_indexer(self._index[:1])

    def __call__(self, columns: dict[str, pa.Array], time: pa.Array | None) -> np.ndarray:
        """Adds the catalog's columns to a batch's, missing where no row matches.

        Args:
          columns: the batch's so far; gets the catalog's.
          time: int64 milliseconds `[rows]`, where the catalog has a time.

        Returns:
          bool `[rows]`: which have no row in the catalog.
        """
        key = columns[self._key]
        rows = self._index.get_indexer(_keys(key.fill_null(0 if pa.types.is_integer(key.type) else "")))
        unmatched = key.is_null().to_numpy(zero_copy_only=False) | (rows < 0)
        if self._of_time is not None:
            unmatched |= time.is_null().to_numpy(zero_copy_only=False)
            rows = self._of_time.rows(
                np.where(unmatched, 0, rows), time.fill_null(0).to_numpy(zero_copy_only=False)
            )
            unmatched |= rows < 0
        take = pa.array(np.where(unmatched, 0, rows), mask=unmatched)
        for name, values in self._columns.items():
            columns[name] = values.take(take)
        return unmatched


def _keys(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def write_table(table: pa.Table, path: Path) -> None:
    """Writes a catalog for the processes that join it."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def open_table(path: Path) -> pa.Table:
    """A catalog that `write_table` wrote, mapped into memory, which all processes share."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
