"""Files of a source: whether they have the columns that the recipe names, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.ingest.arrow_types import fits
from pipeline.ingest.batch import Batch
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import file_format
from pipeline.ingest.read_csv import header, read_csv
from pipeline.ingest.read_jsonl import KEY_LINES, first_keys, read_jsonl
from pipeline.ingest.read_parquet import parquet_file, read_parquet
from pipeline.recipe.expressions import near
from pipeline.recipe.parts import Column, Source


def read(
    input_dir: Path,
    name: str,
    source: Source,
    wanted: list[str],
    row_groups: range | None = None,
    first_position: int = 1,
) -> Iterator[Batch]:
    """Yields the rows of one file, or of some row groups of a Parquet file, in order.

    Raises:
      DataError: the file as a whole cannot be read.
    """
    path = input_dir / name
    match file_format(source, name):
        case "csv":
            return read_csv(path, source, wanted)
        case "jsonl":
            return read_jsonl(path, source, wanted)
    return read_parquet(path, source, wanted, row_groups, first_position)


def check_columns(input_dir: Path, names: list[str], source: Source, what: str) -> None:
    """Looks at the heads of a source's files only.

    Raises:
      DataError: a file lacks a column that the recipe names, or has it with a type that does not fit.
    """
    if file_format(source, names[0]) == "jsonl":
        keys = set().union(*(first_keys(input_dir / name) for name in names))
        if keys:
            place = names[0] if len(names) == 1 else f"any of the {len(names)} files {names[0]}, …"
            _check_names(keys, source, f"{what}: the first {KEY_LINES} lines of {place}")
        return
    for name in names:
        path = input_dir / name
        if file_format(source, name) == "parquet":
            with parquet_file(path) as file:
                types = {field.name: field.type for field in file.schema_arrow}
            _check_names(types.keys(), source, f"{what}: {name}")
            _check_types(types, source, f"{what}: {name}")
        elif source.header:
            found = header(path, source)
            if not found:
                raise DataError(f"{what}: {name} is empty; its first line must name the columns")
            _check_names(found, source, f"{what}: {name}")
        for column, spec in source.columns.items():
            if (
                file_format(source, name) == "csv"
                and spec.type.startswith("list[")
                and spec.separator is None
            ):
                raise DataError(
                    f"{what}: {column} is {spec.type} and {name} is CSV; write `separator:` in the recipe"
                )


def _check_names(found: object, source: Source, place: str) -> None:
    found = list(found)
    absent = [(n, c.column or n) for n, c in source.columns.items() if (c.column or n) not in found]
    twice = sorted(
        {n for n in found if found.count(n) > 1} & {c.column or n for n, c in source.columns.items()}
    )
    if twice:
        raise DataError(f"{place} has more than one column named '{twice[0]}'")
    if not absent:
        return
    count = len(source.columns)
    lines = [f"`{column}` is not in it{near(column, found)}" for _, column in absent[:5]]
    if len(absent) > 5:
        lines.append(f"and {len(absent) - 5} more")
    note = f"{count - len(absent)} of the recipe's {count} columns are there"
    if len(absent) > count / 2:
        note += "; is this the data of another recipe?"
    raise DataError(f"{place}: " + "; ".join(lines) + f" ({note})")


def _check_types(types: dict[str, pa.DataType], source: Source, place: str) -> None:
    for name, column in source.columns.items():
        kind = types[column.column or name]
        if not fits(kind, column):
            raise DataError(
                f"{place}: `{column.column or name}` is {kind} there and {column.type} in the recipe"
                f"{_remedy(kind, name, column)}"
            )


def _remedy(kind: pa.DataType, name: str, column: Column) -> str:
    for other in ("int", "float", "string", "time", "date", "list[int]", "list[string]", "vector"):
        if other != column.type and fits(kind, Column(type=other)):
            if column.type == "time" and other == "string":
                return "; write `unit: iso` if it holds ISO-8601 texts"
            return (
                f"; write `{name}: {other}`, or give the column numbers"
                if other == "string"
                else (f"; write `{name}: {other}`")
            )
    if kind in (pa.string(), pa.large_string()) and column.type.startswith("list["):
        return "; write `separator:` if the texts are lists"
    return ""
