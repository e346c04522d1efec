"""CSV, streamed: blocks of whole records, typed by Arrow's parser where it can, and else by whole columns of
texts."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.ingest.batch import Batch, Problem
from pipeline.ingest.csv_blocks import MAX_LINE, STAND_IN, Block, Broken, Dialect, LineTooLong, blocks
from pipeline.ingest.errors import DataError
from pipeline.ingest.private import NOT_KEPT, has_private
from pipeline.ingest.texts import (
    blank_missing,
    finite,
    null_missing,
    parse_texts,
    scale_times,
)
from pipeline.ingest.values import take_in
from pipeline.recipe.parts import Column, Source

BLOCK_BYTES = 4 << 20
# Rows that are parsed again together when one is asked for as the file has it.
NEIGHBOURS = 32

# A byte that is no UTF-8 becomes this noncharacter, which no proper text holds.
NOT_TEXT = "\uffff"
codecs.register_error("not_text", lambda error: (NOT_TEXT * (error.end - error.start), error.end))
_BOM = codecs.BOM_UTF8
_FAILED = re.compile(r"In CSV column #(\d+):")

# Position, problem and raw row of a row without a place in the columns.
Unreadable = tuple[int, Problem, object]


class _Utf8(io.RawIOBase):
    """Passes UTF-8 on as it is, with NOT_TEXT for each byte that is none."""

    def __init__(self, stream: pa.NativeFile):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("not_text")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            chunk = self._stream.read(size)
            text = self._decoder.decode(chunk, final=not chunk)
            if text or not chunk:
                return text.encode()


def open_text(path: Path) -> pa.NativeFile:
    """The file's text as UTF-8, unpacked; what is no UTF-8 is marked by NOT_TEXT."""
    return pa.PythonFile(_Utf8(open_bytes(path)), mode="r")


def open_bytes(path: Path) -> pa.NativeFile:
    """The file's content, unpacked.

    Raises:
      EOFError: an archive of no bytes, which no program writes.
      OSError: it cannot be opened.
    """
    if path.suffix in (".gz", ".bz2") and not path.stat().st_size:
        raise EOFError("it has 0 bytes, which is no archive: was it cut off?")
    return pa.input_stream(path, compression="detect")


def header(path: Path, source: Source) -> list[str]:
    """The names in the first line."""
    line = _first_line(_head(path)).decode("utf-8", "not_text").encode()
    options = pa.csv.ParseOptions(delimiter=_delimiter(path, source))
    try:
        return pa.csv.read_csv(io.BytesIO(line + b"\n"), parse_options=options).column_names
    except pa.ArrowInvalid:
        return []


def _head(path: Path) -> bytes:
    try:
        with open_bytes(path) as stream:
            head = stream.read(1 << 20)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: is UTF-16; write it as UTF-8")
    return head.removeprefix(_BOM)


def _first_line(head: bytes) -> bytes:
    return head.split(_line_end(head), 1)[0].rstrip(b"\r")


def _line_end(head: bytes) -> bytes:
    return b"\r" if b"\r" in head and b"\n" not in head else b"\n"


def read_csv(
    path: Path, source: Source, wanted: list[str], block_bytes: int = BLOCK_BYTES
) -> Iterator[Batch]:
    """Yields the rows of a CSV file in order. White space around a value is not part of it.

    Args:
      path: plain, .gz or .bz2.
      source: its part of the recipe.
      wanted: the recipe's names of the columns to read.
      block_bytes: of text a batch.

    Raises:
      DataError: the file as a whole cannot be read as CSV.
    """
    head = _head(path)
    names = header(path, source) if source.header else [c.column or n for n, c in source.columns.items()]
    if not head or not names:
        return
    parser = _Parser(names, {n: source.columns[n] for n in wanted}, _delimiter(path, source))
    dialect = Dialect(_delimiter(path, source).encode(), _line_end(head), len(names), parser.are_rows)
    following = 1
    try:
        with open_bytes(path) as stream:
            rest = _after_header(stream, head, source.header, block_bytes)
            for block in blocks(rest, dialect, block_bytes):
                batch = parser.batch(block, following)
                rows = len(batch.positions) + len(batch.unreadable)
                if rows:
                    following += rows
                    yield batch
    except LineTooLong:
        raise DataError(
            f"{path}: a line after row {following - 1:,} is longer than {MAX_LINE >> 20} MiB: is this CSV?"
        ) from None
    except pa.ArrowInvalid as error:
        said = NOT_KEPT if has_private(source) else error  # it repeats the line
        raise DataError(f"{path}: cannot be read as CSV: {said}") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


class _Rest(io.RawIOBase):
    """Some bytes, and then a stream."""

    def __init__(self, first: bytes, stream: pa.NativeFile):
        self._first, self._stream = first, stream

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        return first or self._stream.read(size)


def _after_header(stream: pa.NativeFile, head: bytes, has_header: bool, block_bytes: int) -> io.RawIOBase:
    first = stream.read(len(_BOM))
    first = first.removeprefix(_BOM)
    if has_header:
        line_end = _line_end(head)
        while line_end not in first and (chunk := stream.read(block_bytes)):
            first += chunk
        first = first.partition(line_end)[2]
    return _Rest(first, stream)


def _delimiter(path: Path, source: Source) -> str:
    tabs = ".tsv" in path.suffixes[-2:] and "delimiter" not in source.model_fields_set
    return "\t" if tabs else source.delimiter


class _Parser:
    """Blocks of one file to batches. Which way a value is read changes only the speed.

    Args:
      names: the file's columns.
      columns: name in the recipe → column, of those to read.
      delimiter: between fields.
    """

    def __init__(self, names: list[str], columns: dict[str, Column], delimiter: str):
        self._names, self._columns, self._delimiter = names, columns, delimiter
        self._stand_in = delimiter * len(names) + STAND_IN
        self._typed = {
            name: pa.float64() if column.type == "float" else pa.int64()
            for name, column in columns.items()
            if column.type in ("int", "float") or (column.type == "time" and column.unit != "iso")
        }
        # Arrow knows one set of texts for all columns
        shared = [set(columns[name].missing) for name in self._typed]
        self._missing = sorted({""} | (set.intersection(*shared) if shared else set()))

    def batch(self, block: Block, first: int) -> Batch:
        """The rows of a block, of which the first has the number `first`."""
        text = block.text
        try:
            text.decode()
        except UnicodeDecodeError:
            text = text.decode("utf-8", "not_text").encode()
        table, unreadable = self._read(text, block.broken, first)
        rows = table.num_rows + len(unreadable)
        positions = np.arange(first, first + rows)
        if unreadable:
            positions = np.setdiff1d(positions, [position for position, _, _ in unreadable])
        raw = _RawRows(text, self._options(None), rows, positions - first)
        batch = Batch({}, positions, raw, unreadable=unreadable)
        for name, column in self._columns.items():
            array = table[column.column or name].combine_chunks()
            value = raw.of(column.column or name)
            if pa.types.is_string(array.type):
                texts = blank_missing(array, column.missing)
                values, wrong = parse_texts(texts, column)
                take_in(batch, name, column, values, wrong, value)
                if column.type in ("string", "list[string]"):
                    odd = pc.match_substring(texts, NOT_TEXT)
                    if pc.any(odd).as_py():
                        problem = Problem(f"{name}: not UTF-8", f"{name}: the text is not UTF-8")
                        batch.flag(np.flatnonzero(odd), lambda _, problem=problem: problem)
            else:
                take_in(batch, name, column, *_typed(array, column), value)
        return batch

    def are_rows(self, lines: list[bytes]) -> bool:
        """Whether all lines are rows, as far as their numbers and times tell: three of them, or as many as
        there are columns of these types, must be given, and all that are given be right."""
        fields = [line.decode(errors="replace").rstrip("\r").split(self._delimiter) for line in lines]
        if any(len(values) != len(self._names) for values in fields):
            return False
        telling = {n: c for n, c in self._columns.items() if c.type in ("int", "float", "time", "date")}
        given = np.zeros(len(lines), int)
        for name, column in telling.items():
            place = self._names.index(column.column or name)
            texts = blank_missing(pa.array([values[place] for values in fields]), column.missing)
            if parse_texts(texts, column)[1] is not None:
                return False
            given += texts.is_valid().to_numpy(zero_copy_only=False)
        return bool(telling) and bool((given >= min(3, len(telling))).all())

    def _read(self, text: bytes, broken: list[Broken], first: int) -> tuple[pa.Table, list[Unreadable]]:
        typed = dict(self._typed)
        if b"0x" in text or b"0X" in text:  # Arrow takes 0x10 for the number 16
            typed = {name: kind for name, kind in typed.items() if kind != pa.int64()}
        while True:
            unreadable: list[Unreadable] = []

            def keep(row: pa.csv.InvalidRow, unreadable: list[Unreadable] = unreadable) -> str:
                unreadable.append((first + row.number - 1, *self._dead(row, broken)))
                return "skip"

            try:
                table = pa.csv.read_csv(pa.BufferReader(text), **self._options(keep, typed, len(text)))
            except pa.ArrowInvalid as error:
                failed = _FAILED.match(str(error))
                if failed is None:
                    raise
                odd = [n for n, c in self._columns.items() if (c.column or n) == self._names[int(failed[1])]]
            else:
                # NaN has more than one way to be written
                odd = [n for n, t in typed.items() if t == pa.float64() and self._has_nan(table, n)]
                if not odd:
                    return table, unreadable
            for name in odd:  # from here on, so that a file of such values is not read twice throughout
                typed.pop(name)
                self._typed.pop(name)

    def _has_nan(self, table: pa.Table, name: str) -> bool:
        return pc.any(pc.is_nan(table[self._columns[name].column or name])).as_py() is True

    def _options(
        self, keep: Callable | None, typed: dict[str, pa.DataType] | None = None, size: int = 0
    ) -> dict[str, object]:
        """Of `read_csv`; all columns as texts where `typed` is None."""
        if typed is None:
            included, types = [], dict.fromkeys(self._names, pa.string())
        else:
            included = [column.column or name for name, column in self._columns.items()]
            types = dict.fromkeys(included, pa.string())
            types |= {self._columns[name].column or name: kind for name, kind in typed.items()}
        return {
            "read_options": pa.csv.ReadOptions(
                # threads would lose the numbers of invalid rows
                use_threads=False,
                block_size=size + 1,
                column_names=self._names,
            ),
            "parse_options": pa.csv.ParseOptions(
                delimiter=self._delimiter, invalid_row_handler=keep or (lambda _: "skip")
            ),
            "convert_options": pa.csv.ConvertOptions(
                include_columns=included,
                null_values=self._missing,
                strings_can_be_null=False,
                check_utf8=False,
                column_types=types,
            ),
        }

    def _dead(self, row: pa.csv.InvalidRow, broken: list[Broken]) -> tuple[Problem, str]:
        if row.text.startswith(self._stand_in):
            line = broken[int(row.text.removeprefix(self._stand_in))]
            return Problem("quote not closed", line.reason), line.text.decode(errors="replace")
        reason = f"has {row.actual_columns} fields where the file has {row.expected_columns} columns"
        return Problem("wrong number of fields", reason), row.text.replace(NOT_TEXT, "\ufffd")


class _RawRows:
    """A block's rows as the file has them: column → text, of all its columns. Parsed when asked for: a few
    neighbours where each row is a line, and else all.

    Args:
      text: of the block.
      options: of `read_csv`, for all columns as texts.
      rows: how many there are, with those that are unreadable.
      places: int64 `[readable rows]`, where each is among all rows.
    """

    def __init__(self, text: bytes, options: dict[str, object], rows: int, places: np.ndarray):
        self._text, self._options, self._rows, self._places = text, options, rows, places
        self._tables: dict[int, pa.RecordBatch] = {}

    def __call__(self, row: int) -> dict[str, str]:
        table, place = self._parsed(row)
        return {name: _shown(column[place]) for name, column in zip(table.schema.names, table.columns)}

    def of(self, name: str) -> Callable[[int], str]:
        """A function from row to text of one column."""

        def value(row: int) -> str:
            table, place = self._parsed(row)
            return _shown(table.column(name)[place])

        return value

    @cached_property
    def _lines(self) -> list[bytes] | None:
        """The line of each row, if each is one."""
        lines = self._text.split(b"\n")
        lines = lines if lines[-1] else lines[:-1]
        # empty lines and values over several make more lines than rows, and only a lone \r makes fewer
        single = len(lines) == self._rows and b"\r" not in self._text.replace(b"\r\n", b"")
        return [lines[i] for i in self._places.tolist()] if single else None

    def _parsed(self, row: int) -> tuple[pa.RecordBatch, int]:
        """A table that the row is in, and where."""
        number, place = (0, row) if self._lines is None else divmod(row, NEIGHBOURS)
        if number not in self._tables:
            text = self._text
            if self._lines is not None:
                start = number * NEIGHBOURS
                text = b"\n".join(self._lines[start : start + NEIGHBOURS])
            self._options["read_options"].block_size = len(text) + 1
            table = pa.csv.read_csv(pa.BufferReader(text), **self._options)
            self._tables[number] = table.combine_chunks().to_batches()[0]
        return self._tables[number], place


def _shown(value: pa.Scalar) -> str:
    return value.as_py().replace(NOT_TEXT, "\ufffd")


def _typed(array: pa.Array, column: Column) -> tuple[pa.Array, np.ndarray | None]:
    """What `parse_texts` makes of the texts that Arrow took for these numbers."""
    bad = None
    if column.type == "float":
        array, bad = finite(array, None)
    elif column.type == "time":
        array, bad = scale_times(array, column.unit)
    return null_missing(array, column), bad
