"""Files of columns, every row with the same number of values: Arrow's file format, each buffer in LZ4.

They are read into arrays as they are, where tf.Examples would be inflated and parsed row by row.
`pyarrow.feather.read_table` and `pandas.read_feather` read them as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

SUFFIX = ".arrow"
_ROWS = 1 << 16  # a batch in a file


class ColumnWriter:
    """Writes one file, the same bytes for the same rows, however they are cut into batches.

    The file appears under its name only once it is whole, so that one written again, or half, is never seen.
    A context manager.
    """

    def __init__(self, path: Path):
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._writer: pa.RecordBatchFileWriter | None = None
        self._waiting: list[dict[str, np.ndarray]] = []
        self._rows = 0

    def write(self, columns: dict[str, np.ndarray]) -> None:
        """Appends rows: name → `[rows]` or `[rows, width]`, in every batch the same names and widths."""
        self._waiting.append(columns)
        self._rows += len(next(iter(columns.values())))
        if self._rows >= _ROWS:
            self._flush(self._rows // _ROWS * _ROWS)

    def _flush(self, end: int) -> None:
        """Writes as many of the rows that wait."""
        rows = {n: np.concatenate([b[n] for b in self._waiting]) for n in sorted(self._waiting[0])}
        for start in range(0, end, _ROWS):
            # of memory of their own: what is written holds the padding of a slice's buffer
            arrays = [_array(values[start : min(start + _ROWS, end)].copy()) for values in rows.values()]
            batch = pa.RecordBatch.from_arrays(arrays, list(rows))
            if self._writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_file(str(self._partial), batch.schema, options=options)
            self._writer.write_batch(batch)
        self._waiting = [{n: values[end:] for n, values in rows.items()}]
        self._rows -= end

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None and self._rows:
                self._flush(self._rows)
            if self._writer is not None:
                self._writer.close()
                if kind is None:
                    os.replace(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _array(values: np.ndarray) -> pa.Array:
    flat = pa.array(values.reshape(-1))
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def read_columns(files: Iterable[str | Path], widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Columns of files, one after the other, as arrays.

    Args:
      files: as `ColumnWriter` wrote them.
      widths: how many values a row of each column has; 0 for a single one.

    Returns:
      name → `[rows, width]`, or `[rows]` where the width is 0.

    Raises:
      ValueError: there is no file, one is damaged, or lacks a column, or has it in another width.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in widths}
    for file in files:
        try:
            with pa.memory_map(str(file)) as source:
                table = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid as error:
            raise ValueError(f"{file} is truncated or corrupted: {error}") from None
        for name, width in widths.items():
            parts[name] += _arrays(file, table, name, width)
    if not all(parts.values()):
        raise ValueError(f"there are no rows to read in {', '.join(map(str, files)) or 'no file'}")
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _arrays(file: str | Path, table: pa.Table, name: str, width: int) -> list[np.ndarray]:
    if name not in table.column_names:
        raise ValueError(f"{file} has no column {name}; it has {', '.join(table.column_names)}")
    column = table[name]
    found = column.type.list_size if pa.types.is_fixed_size_list(column.type) else 0
    # one value a row is written flat, and may be read as a list of one
    if found != width and (found, width) != (0, 1):
        raise ValueError(f"{file}: column {name} has {found or 1} values a row, and not {width or 1}")
    shape = (-1, width) if width else (-1,)
    flat = [chunk.flatten() if found else chunk for chunk in column.chunks]
    return [values.to_numpy(zero_copy_only=False).reshape(shape) for values in flat]
