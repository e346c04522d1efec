"""Current values of history for an online store: one Parquet file for each key, sorted by it.

Partitions give their tables one at a time; each is a sorted part on disk. The parts of a key are then merged
a few record batches at a time, so that memory does not grow with the number of keys. A file's bytes depend on
its rows alone, and not on how they were partitioned.
"""

from __future__ import annotations

import bisect
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.ingest.errors import DataError
from pipeline.recipe.parts import Earlier

PART_ROWS = 256  # of a record batch; the merge holds about one of each part
GROUP_ROWS = 1 << 14  # of the files
# What a key that is not in its file would have.
_ABSENT = {"last": [], "count": 0, "rate": None}

Key = tuple[int | str, ...]


def write_part(folder: Path, number: int, tables: Mapping[tuple[str, ...], pa.Table]) -> None:
    """Keeps a partition's values until they are merged. Written again, they are the same.

    Args:
      folder: for the parts alone.
      number: of the partition.
      tables: by their keys' columns, sorted by key, as `History.current` gives them; no other part has a row
        with the same key.
    """
    for by, table in tables.items():
        place = folder / "-".join(by)
        place.mkdir(parents=True, exist_ok=True)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            pa.OSFile(str(place / f"{number:06d}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, table.schema, options=options) as writer,
        ):
            writer.write_table(table, max_chunksize=PART_ROWS)


def merge_parts(
    folder: Path, output: Path, specs: Mapping[str, Earlier], recipe: str, at: int
) -> dict[str, int]:
    """Merges all parts into `<output>/<columns of the key, joined with _and_>.parquet`.

    A file's metadata, beside its schema: `recipe`, its name; `as_of_ms`, the time that the values are of;
    `key`, the columns; `history`, what the others are, as the recipe says it; `absent`, the values of a key
    that is not there. The last three are JSON.

    Args:
      folder: where `write_part` wrote.
      output: made where it is not there; a file of the same name is replaced at once and whole.
      specs: the recipe's `history`.
      recipe: the recipe's name.
      at: milliseconds, as `History.current` got it.

    Returns:
      Name of each file → its number of rows.

    Raises:
      DataError: two keys would have the same file.
      ValueError: two parts have a row with the same key, or there is no part with one of `specs`.
    """
    keys: dict[str, tuple[list[str], list[_Part]]] = {}
    written: set[str] = set()
    for place in sorted(folder.iterdir()):
        parts = [_Part(path) for path in sorted(place.glob("*.arrow"))]
        by = [name for name in parts[0].schema.names if name not in specs]
        name = f"{'_and_'.join(by)}.parquet"
        if name in keys:
            raise DataError(
                f"history: the keys {' with '.join(keys[name][0])} and {' with '.join(by)} would both be "
                f"written to {name}; give a column another name, and say `column:`"
            )
        keys[name] = by, parts
        written |= {*parts[0].schema.names} - {*by}
    if absent := sorted({*specs} - written):
        raise ValueError(f"no part has {', '.join(absent)}")
    output.mkdir(parents=True, exist_ok=True)
    return {
        name: _write(output / name, _merged(parts, by), _described(parts[0].schema, by, specs, recipe, at))
        for name, (by, parts) in keys.items()
    }


def _described(
    schema: pa.Schema, by: list[str], specs: Mapping[str, Earlier], recipe: str, at: int
) -> pa.Schema:
    mine = {name: specs[name] for name in schema.names if name in specs}
    return schema.with_metadata(
        {
            "recipe": recipe,
            "as_of_ms": str(at),
            "key": json.dumps(by),
            "history": json.dumps({name: spec.model_dump(mode="json") for name, spec in mine.items()}),
            "absent": json.dumps({name: _ABSENT[spec.kind] for name, spec in mine.items()}),
        }
    )


def _write(path: Path, tables: Iterator[pa.Table], schema: pa.Schema) -> int:
    """Returns the number of rows."""
    unfinished, rows = path.with_suffix(".part"), 0
    with pq.ParquetWriter(unfinished, schema) as writer:
        for group in _groups(tables, schema):
            writer.write_table(group)
            rows += len(group)
    os.replace(unfinished, path)
    return rows


class _Part:
    """A sorted part, read as far as it is needed. It is open only while it is read: there may be more parts
    than files that a process may hold open."""

    def __init__(self, path: Path):
        self._path = path
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            self.schema, self._batches = file.schema, file.num_record_batches
        self._next = 0
        self.rows = self.schema.empty_table()

    @property
    def ended(self) -> bool:
        return self._next == self._batches

    def fill(self) -> None:
        """Reads until there are `PART_ROWS`, or all."""
        if self.ended or len(self.rows) >= PART_ROWS:
            return
        with pa.memory_map(str(self._path)) as source, pa.ipc.open_file(source) as file:
            read = [self.rows]
            while not self.ended and sum(map(len, read)) < PART_ROWS:
                read.append(pa.Table.from_batches([file.get_batch(self._next)]))
                self._next += 1
        self.rows = pa.concat_tables(read).combine_chunks()

    def take(self, by: list[str], bound: Key | None) -> pa.Table:
        """Removes and returns the rows up to a key, or all."""
        end = len(self.rows)
        if bound is not None:
            end = bisect.bisect_right(range(end), bound, key=lambda row: _key(self.rows, by, row))
        taken, self.rows = self.rows.slice(0, end), self.rows.slice(end)
        return taken


def _key(table: pa.Table, by: list[str], row: int) -> Key:
    # Python orders texts by code point, as Arrow does by their UTF-8 bytes: the orders are the same
    return tuple(table[name][row].as_py() for name in by)


def _merged(parts: list[_Part], by: list[str]) -> Iterator[pa.Table]:
    """All rows in order. What is not later than the first of the parts' last keys in memory can go."""
    last: Key | None = None
    while parts:
        for part in parts:
            part.fill()
        bounds = [_key(part.rows, by, len(part.rows) - 1) for part in parts if not part.ended]
        bound = min(bounds, default=None)
        table = pa.concat_tables([part.take(by, bound) for part in parts])
        table = table.sort_by([(name, "ascending") for name in by]).combine_chunks()
        last = _refuse_repeats(table, by, last)
        yield table
        parts = [part for part in parts if len(part.rows) or not part.ended]


def _refuse_repeats(table: pa.Table, by: list[str], last: Key | None) -> Key | None:
    """Returns the last key, for the next call."""
    if not len(table):
        return last
    same = None
    for name in by:
        column = table[name].combine_chunks()
        equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
        same = equal if same is None else pc.and_(same, equal)
    repeats = pc.indices_nonzero(same)
    if _key(table, by, 0) == last or len(repeats):
        key = _key(table, by, repeats[0].as_py() if len(repeats) else 0)
        raise ValueError(f"the key {dict(zip(by, key))} is in more than one partition")
    return _key(table, by, len(table) - 1)


def _groups(tables: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows, `GROUP_ROWS` at a time."""
    waiting = schema.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table.cast(schema)])
        while len(waiting) >= GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS).combine_chunks()
            waiting = waiting.slice(GROUP_ROWS)
    if len(waiting):
        yield waiting.combine_chunks()
