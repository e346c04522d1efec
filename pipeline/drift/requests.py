"""Statistics of what was asked of served models, from their request log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.drift.distances import Dataset
from pipeline.ingest.files import matching
from pipeline.recipe.parts import Column

ROWS = 100_000  # the newest
_TYPES = {"int": pa.int64(), "float": pa.float32(), "string": pa.string()}
_AT, _REQUEST = "served_at", "served_request"


@dataclass(frozen=True)
class Requests:
    """The newest rows that were asked about.

    Attributes:
      statistics: of them, as TensorFlow Data Validation makes them.
      requests: how many they came in. Rows of one request are alike.
    """

    statistics: Dataset
    requests: int


def request_files(patterns: Iterable[str], input_dir: Path) -> list[Path]:
    """The log's files, the newest first: their names begin with the time."""
    found = [input_dir / name for name in matching(list(patterns), input_dir)]
    return sorted(found, key=lambda path: (path.name, path), reverse=True)


def read_requests(
    files: Sequence[Path], columns: dict[str, Column], within: tuple[int, int] | None
) -> Requests | None:
    """Reads the newest rows of a log, at most `ROWS` and the rest of a file.

    Args:
      files: the newest first, as `serving.server.request_log` writes them.
      columns: to read, by the recipe's names; a version may not have asked for all.
      within: milliseconds; rows served from the first on and before the second. All where None.

    Returns:
      Their statistics; None where there are no rows.
    """
    tables, rows = [], 0
    for path in files:
        if rows >= ROWS:
            break
        table = _read(path, columns, within)
        if len(table):
            tables.append(table)
            rows += len(table)
    if not rows:
        return None
    from tensorflow_data_validation import StatsOptions
    from tensorflow_data_validation.statistics import stats_impl

    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    names = [name for name in table.column_names if name != _REQUEST]
    batch = pa.RecordBatch.from_arrays([_lists(table[n].combine_chunks()) for n in names], names)
    found = stats_impl.generate_statistics_in_memory(batch, StatsOptions()).datasets[0]
    return Requests(found, len(table[_REQUEST].unique()))


def _read(path: Path, columns: dict[str, Column], within: tuple[int, int] | None) -> pa.Table:
    with pq.ParquetFile(path) as file:
        there = [name for name in columns if name in file.schema_arrow.names]
        table = file.read(columns=[*there, _AT, _REQUEST])
    if within is not None:
        at = table[_AT]
        table = table.filter(pc.and_(pc.greater_equal(at, within[0]), pc.less(at, within[1])))
    arrays = {name: table[name].cast(_type(columns[name])) for name in there}
    return pa.table(arrays | {_REQUEST: table[_REQUEST]})


def _type(column: Column) -> pa.DataType:
    kind = column.expression_type
    return pa.list_(_TYPES[kind[5:-1]]) if kind.startswith("list[") else _TYPES[kind]


def _lists(column: pa.Array) -> pa.Array:
    """A value a row as a list of it, null where it is missing; an empty list is a missing value."""
    if pa.types.is_list(column.type):
        empty = pc.equal(pc.fill_null(pc.list_value_length(column), 0), 0)
        return pc.if_else(empty, pa.scalar(None, column.type), column)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    offsets = np.r_[0, np.cumsum(~missing)].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), column.drop_null(), mask=pa.array(missing))
