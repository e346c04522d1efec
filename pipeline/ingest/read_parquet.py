"""Parquet, by row groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingest.arrow_types import convert
from pipeline.ingest.batch import Batch
from pipeline.ingest.errors import DataError
from pipeline.ingest.values import take_in
from pipeline.recipe.parts import Source

BATCH_ROWS = 32_768


def parquet_file(path: Path) -> pq.ParquetFile:
    """Opens a Parquet file.

    Raises:
      DataError: it is none.
    """
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None


def read_parquet(
    path: Path,
    source: Source,
    wanted: list[str],
    row_groups: range | None = None,
    first_position: int = 1,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[Batch]:
    """Yields rows of a Parquet file in order.

    Args:
      path: the file.
      source: its part of the recipe.
      wanted: the recipe's names of the columns to read.
      row_groups: which row groups; all where None.
      first_position: number of the first of those rows in the file, from 1.
      batch_rows: at most this many rows a batch.

    Raises:
      DataError: the file is damaged.
    """
    names = {name: source.columns[name].column or name for name in wanted}
    with parquet_file(path) as file:
        if not file.num_row_groups:  # Arrow refuses to read nothing
            return
        try:
            for chunk in file.iter_batches(batch_rows, row_groups=row_groups, columns=list(names.values())):
                positions = np.arange(first_position, first_position + chunk.num_rows)
                first_position += chunk.num_rows
                yield typed_batch({n: chunk.column(c) for n, c in names.items()}, names, source, positions)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read as Parquet: {error}") from None


def typed_batch(
    found: dict[str, pa.Array], names: dict[str, str], source: Source, positions: np.ndarray
) -> Batch:
    """Arrow columns, of types that fit, as a batch."""

    def raw(row: int) -> dict[str, object]:
        return {names[name]: _plain(array[row]) for name, array in found.items()}

    batch = Batch({}, positions, raw)
    for name, array in found.items():
        column = source.columns[name]
        take_in(batch, name, column, *convert(array, column), lambda row, array=array: _plain(array[row]))
    return batch


def _plain(value: pa.Scalar) -> object:
    """A value to be shown; Parquet holds bytes as well as texts, also where it says that they are texts."""
    try:
        found = value.as_py()
    except UnicodeDecodeError:
        found = value.cast(pa.large_binary()).as_py()
    return found.decode(errors="replace") if isinstance(found, bytes) else found
