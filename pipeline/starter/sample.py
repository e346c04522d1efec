"""A bounded sample of a source's rows: heads, middles and ends, spread over its files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from pipeline.ingest.errors import DataError
from pipeline.ingest.files import COMPRESSED, text_bytes
from pipeline.ingest.read_csv import open_text
from pipeline.ingest.read_parquet import parquet_file
from pipeline.starter.files import Group, _spread

ROWS, CELLS = 200_000, 12_000_000  # of a source
FILES, BLOCKS = 40, 8  # files looked into, and places in each
UNPACKED = (
    256 << 20
)  # a packed file cannot be entered in its middle: at most so many bytes of it are unpacked


@dataclass
class Sample:
    """Rows of a group of files.

    Attributes:
      table: column → array `[rows]`: texts of a CSV, Arrow's own types otherwise.
      total: rows of the whole group; an estimate unless `whole`.
      whole: whether these are all rows.
      broken: lines read that have more or fewer fields than the file has columns; they are not in `table`.
    """

    table: pa.Table
    total: int
    whole: bool
    broken: int = 0


def sample(group: Group, rows: int = ROWS) -> Sample:
    """Reads at most about `rows` rows of a group, fewer where there are many columns.

    Raises:
      DataError: a file cannot be read, or there are no rows.
    """
    budget = max(1000, min(rows, CELLS // max(1, len(group.columns))))
    found = _parquet(group, budget) if group.format == "parquet" else _texts(group, budget)
    if not found.table.num_rows:
        raise DataError(f"{', '.join(group.patterns[:3])}: no rows")
    return found


def _parquet(group: Group, budget: int) -> Sample:
    counts = {}
    for path in group.paths:
        with parquet_file(group.root / path) as file:
            counts[path] = file.metadata.num_rows
    total = sum(counts.values())
    whole = total <= budget
    chosen = group.paths if whole else _spread([p for p in group.paths if counts[p]], FILES)
    share = 1.0 if whole else budget / sum(counts[p] for p in chosen)
    tables = []
    for path in chosen:
        with parquet_file(group.root / path) as file:
            tables += list(_row_groups(file, group.columns, max(1, round(share * counts[path])), whole))
    schema = pa.unify_schemas([t.schema for t in tables], promote_options="permissive")
    return Sample(pa.concat_tables([t.cast(schema) for t in tables]), total, whole)


def _row_groups(file: pq.ParquetFile, columns: list[str], rows: int, whole: bool) -> Iterator[pa.Table]:
    filled = [i for i in range(file.num_row_groups) if file.metadata.row_group(i).num_rows]
    chosen = filled if whole else _spread(filled, BLOCKS)
    for i in chosen:
        need = file.metadata.row_group(i).num_rows if whole else -(-rows // len(chosen))
        for batch in file.iter_batches(min(need, 32_768), row_groups=[i], columns=columns):
            yield pa.Table.from_batches([batch.slice(0, need)])
            need -= batch.num_rows
            if need <= 0:
                break


def _texts(group: Group, budget: int) -> Sample:
    parse = _csv if group.format == "csv" else _json
    sizes = {path: text_bytes(group.root / path) for path in group.paths}
    total_bytes = sum(sizes.values())
    first = _head_bytes(group.root / next((p for p in group.paths if sizes[p]), group.paths[0]))
    if not first:
        raise DataError(f"{', '.join(group.patterns[:3])}: no rows; every file of it is empty")
    lines = max(1, first.count(b"\n"))
    per_row = len(first) / lines
    whole = total_bytes / per_row <= budget
    chosen = group.paths if whole else _spread([p for p in group.paths if sizes[p]], FILES)
    share = 1.0 if whole else budget * per_row / sum(sizes[p] for p in chosen)
    tables, read_bytes, broken = [], 0, 0
    for path in chosen:
        file = group.root / path
        want = sizes[path] if whole else max(1 << 16, int(share * sizes[path]))
        for block, is_head in _blocks(file, want, whole):
            read_bytes += len(block)
            table, skipped = parse(block, group, is_head, file)
            broken += skipped
            if table is not None:
                tables.append(table)
    if not tables:
        raise DataError(f"{', '.join(group.patterns[:3])}: no rows")
    table = pa.concat_tables(tables, promote_options="permissive")
    table = table.select([c for c in group.columns if c in table.column_names])
    total = table.num_rows if whole else round(total_bytes * table.num_rows / max(1, read_bytes))
    # a block from the middle of a file may begin within a quoted value: its first line proves nothing
    return Sample(table, total, whole, broken if whole else 0)


def _head_bytes(path: Path) -> bytes:
    try:
        with open_text(path) as stream:
            return stream.read(1 << 20)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _blocks(path: Path, want: int, whole: bool) -> Iterator[tuple[bytes, bool]]:
    """Whole lines from places spread over a file, and whether they begin with its first line."""
    if whole:
        with open_text(path) as stream:
            chunks = list(iter(lambda: stream.read(1 << 22), b""))
        yield b"".join(chunks), True
        return
    size = max(1 << 14, want // BLOCKS)
    if path.name.endswith(COMPRESSED):
        every = max(size, min(UNPACKED, text_bytes(path)) // BLOCKS)
        with open_text(path) as stream:
            for i in range(BLOCKS):
                chunk = stream.read(every)
                if not chunk:
                    return
                yield _lines(chunk[:size], i == 0), i == 0
        return
    end = path.stat().st_size
    with path.open("rb") as file:
        for i in range(BLOCKS):
            file.seek(round(i * max(0, end - size) / (BLOCKS - 1)))
            chunk = file.read(size).decode(errors="replace").encode()
            yield _lines(chunk, i == 0), i == 0


def _lines(chunk: bytes, is_head: bool) -> bytes:
    start = 0 if is_head else chunk.find(b"\n") + 1
    return chunk[start : chunk.rfind(b"\n") + 1]


def _csv(block: bytes, group: Group, is_head: bool, path: Path) -> tuple[pa.Table | None, int]:
    names = group.columns if not group.dropped else None
    broken = 0

    def skip(row: pa.csv.InvalidRow) -> str:
        nonlocal broken
        broken += 1
        return "skip"

    if not is_head:
        head = _head_bytes(path).split(b"\n", 1)[0]
        block = head.rstrip(b"\r") + b"\n" + block
    try:
        table = pa.csv.read_csv(
            io.BytesIO(block),
            pa.csv.ReadOptions(use_threads=False, block_size=max(1 << 20, len(block))),
            pa.csv.ParseOptions(delimiter=group.delimiter, newlines_in_values=True, invalid_row_handler=skip),
            pa.csv.ConvertOptions(
                include_columns=names or group.columns,
                strings_can_be_null=False,
                column_types={name: pa.string() for name in group.columns},
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return None, broken
        raise DataError(f"{path}: cannot be read as CSV: {error}") from None
    return table, broken


def _json(block: bytes, group: Group, is_head: bool, path: Path) -> tuple[pa.Table | None, int]:
    filled = [line for line in block.split(b"\n") if line.strip()]
    lines = [line for line in filled if line.strip().startswith(b"{") and line.strip().endswith(b"}")]
    broken = len(filled) - len(lines)
    if not lines:
        return None, broken
    try:
        table = pa.json.read_json(
            io.BytesIO(b"\n".join(lines)), pa.json.ReadOptions(use_threads=False, block_size=1 << 30)
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: cannot be read as JSON Lines: {error}") from None
    return table.select([c for c in table.column_names if c in group.columns]), broken
