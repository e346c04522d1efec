"""Files of a source: whether they have the columns that the recipe names, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from pipeline.ingest.arrow_types import fits
from pipeline.ingest.batch import Batch
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import file_format
from pipeline.ingest.private import has_private, without_raw_rows
from pipeline.ingest.read_csv import header, read_csv
from pipeline.ingest.read_jsonl import KEY_LINES, Keys, find_keys, first_keys, key_counts, read_jsonl
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
    """Yields the rows of one file, or of some row groups of a Parquet file, in order; private columns hashed.

    Raises:
      DataError: the file as a whole cannot be read.
    """
    path = input_dir / name
    match file_format(source, name):
        case "csv":
            batches = read_csv(path, source, wanted)
        case "jsonl":
            batches = read_jsonl(path, source, wanted)
        case _:
            batches = read_parquet(path, source, wanted, row_groups, first_position)
    return without_raw_rows(batches, source)


def check_columns(input_dir: Path, names: list[str], source: Source, what: str) -> None:
    """Looks at the heads of a source's files; for a column that a JSON Lines file's head lacks, at all of it.

    Raises:
      DataError: a file lacks a column that the recipe names, or has it with a type that does not fit; or no
        line of any JSON Lines file has it.
    """
    formats = {name: file_format(source, name) for name in names}
    found: dict[str, list[str]] = {}
    types: dict[str, dict[str, pa.DataType]] = {}
    for name, kind in formats.items():
        path = input_dir / name
        if kind == "parquet":
            with parquet_file(path) as file:
                schema = file.schema_arrow
            found[name], types[name] = schema.names, {field.name: field.type for field in schema}
        elif kind == "csv":
            _check_separators(source, name, what)
            if source.header:
                found[name] = header(path, source)
                if not found[name]:
                    size = path.stat().st_size
                    raise DataError(
                        f"{what}: {name} {'has 0 bytes' if not size else 'begins with an empty line'}; its "
                        "first line must name the columns, also where no rows follow"
                    )
    for name in found:
        _check_names(name, found, source, what)
    for name in types:
        _check_types(name, types, source, what)
    _check_keys(input_dir, [name for name, kind in formats.items() if kind == "jsonl"], source, what)


def written_names(input_dir: Path, names: list[str], source: Source, wanted: set[str]) -> set[str]:
    """Which of these columns any of a source's files has, by what files call them; without a header all.

    Raises:
      DataError: a file cannot be read.
    """
    found: set[str] = set()
    for name in names:
        path = input_dir / name
        match file_format(source, name):
            case "csv":
                found |= {*header(path, source)} if source.header else wanted
            case "jsonl":
                heads = first_keys(path)
                found |= heads | find_keys(path, wanted - heads - found)
            case _:
                with parquet_file(path) as file:
                    found |= {*file.schema_arrow.names}
    return found & wanted


def _check_separators(source: Source, name: str, what: str) -> None:
    for column, spec in source.columns.items():
        if spec.type.startswith("list[") and spec.separator is None:
            raise DataError(
                f"{what}: {column} is {spec.type} and {name} is CSV; write `separator:` in the recipe"
            )


def _check_names(name: str, found: dict[str, list[str]], source: Source, what: str) -> None:
    there = found[name]
    wanted = [c.column or n for n, c in source.columns.items()]
    twice = sorted({column for column in there if there.count(column) > 1} & set(wanted))
    if twice:
        raise DataError(f"{what}: {name} has more than one column named '{twice[0]}'")
    absent = [column for column in wanted if column not in there]
    if not absent:
        return
    shown = _shown(there, source)
    other = next((d for d in ",;\t|" if len(there) == 1 and d in there[0]), None)
    if other:
        raise DataError(
            f"{what}: {name}: `delimiter:` is {source.delimiter!r}, which its first line does not have; is it "
            f"{other!r}?" + (f" It begins with {there[0][:60]!r}" if shown else f" {_NOT_SHOWN}")
        )
    lines = []
    for column in absent[:5]:
        others = [other for other, columns in found.items() if column in columns]
        lines.append(f"`{column}` is not in it{_nearest(column, shown, source)}{_elsewhere(others, found)}")
    if len(absent) > 5:
        lines.append(f"and {len(absent) - 5} more")
    note = f"{len(wanted) - len(absent)} of the recipe's {len(wanted)} columns are there"
    if len(absent) > len(wanted) / 2:
        note += "; is this the data of another recipe?"
    if there and not shown:
        note += f" {_NOT_SHOWN}"
    raise DataError(f"{what}: {name}: " + "; ".join(lines) + f" ({note})")


_NOT_SHOWN = "What its first line says is not shown: it may be a row, and the source has private columns"


def _shown(there: list[str], source: Source) -> list[str]:
    """The names in a file that a message may repeat: where there are private columns, a first line that names
    no column at all may be a row of a file without a header."""
    wanted = {c.column or n for n, c in source.columns.items()}
    return there if wanted & set(there) or not has_private(source) else []


def _nearest(column: str, there: Iterable[str], source: Source) -> str:
    """What else it may be called: a name that the recipe does not use."""
    used = {c.column or n for n, c in source.columns.items()}
    return near(column, [other for other in there if other not in used])


def _elsewhere(others: list[str], files: Sized) -> str:
    if not others:
        return ""
    shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
    return f" It is in {len(others)} of the {len(files)} files: {shown}"


def _check_types(name: str, types: dict[str, dict[str, pa.DataType]], source: Source, what: str) -> None:
    for own_name, column in source.columns.items():
        written = column.column or own_name
        kind = types[name][written]
        if fits(kind, column):
            continue
        others = [other for other in types if written in types[other] and fits(types[other][written], column)]
        if others:
            note = (
                f"; it is {types[others[0]][written]} in {len(others)} of the {len(types)} files: {others[0]}"
            )
            note += ", …" if len(others) > 1 else ""
        else:
            note = _remedy(kind, own_name, column)
        raise DataError(f"{what}: {name}: `{written}` is {kind} there and {column.type} in the recipe{note}")


def _check_keys(input_dir: Path, names: list[str], source: Source, what: str) -> None:
    """A key may be absent from any line, where its value is missing; but not from every line."""
    heads = {name: key_counts(input_dir / name) for name in names}
    heads = {name: head for name, head in heads.items() if head.lines}
    if not heads:
        return
    wanted = [c.column or n for n, c in source.columns.items()]
    unseen = {column for column in wanted if not any(column in head.counts for head in heads.values())}
    for name in heads if unseen else ():
        unseen -= find_keys(input_dir / name, unseen)
        if not unseen:
            break
    if unseen:
        every = set().union(*(head.counts for head in heads.values()))
        first = next(iter(heads))
        place = first if len(names) == 1 else f"the {len(names)} files {first}, …"
        lines = [f"`{c}` is in no line{_nearest(c, every, source)}" for c in wanted if c in unseen]
        raise DataError(f"{what}: {place}: " + "; ".join(lines[:5]))
    for column in wanted:
        having = [name for name, head in heads.items() if column in head.counts]
        for name, head in heads.items():
            if column in head.counts or not _looks_renamed(column, head, [heads[h] for h in having], wanted):
                continue
            if not find_keys(input_dir / name, {column}):
                raise DataError(
                    f"{what}: {name}: `{column}` is in no line of it{_nearest(column, head.counts, source)}"
                    f"{_elsewhere(having, heads)}"
                )


def _looks_renamed(column: str, head: Keys, others: list[Keys], wanted: list[str]) -> bool:
    """Whether a key that a file's head lacks is on every line of another's, or the head has one of its own
    that is called much the same."""
    enough = KEY_LINES // 10
    if head.lines >= enough and any(o.counts[column] == o.lines >= enough for o in others):
        return True
    own = [key for key in head.counts if key not in wanted and not any(key in o.counts for o in others)]
    return bool(others) and bool(get_close_matches(column, own, n=1))


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
