"""CSV, streamed: texts by Arrow's parser, then typed by whole columns."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.ingest.batch import Batch, Problem
from pipeline.ingest.errors import DataError
from pipeline.ingest.texts import blank_missing, parse_texts
from pipeline.recipe.parts import Source

BLOCK_BYTES = 4 << 20

# A byte that is no UTF-8 becomes this noncharacter, which no proper text holds.
NOT_TEXT = "\uffff"
codecs.register_error("not_text", lambda error: (NOT_TEXT * (error.end - error.start), error.end))


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
    return pa.PythonFile(_Utf8(pa.input_stream(path, compression="detect")), mode="r")


def header(path: Path, source: Source) -> list[str]:
    """The names in the first line."""
    try:
        with open_text(path) as stream:
            head = stream.read(1 << 20)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    line = head.split(b"\n", 1)[0].rstrip(b"\r") + b"\n"
    options = pa.csv.ParseOptions(delimiter=_delimiter(path, source))
    try:
        return pa.csv.read_csv(io.BytesIO(line), parse_options=options).column_names
    except pa.ArrowInvalid:
        return []


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
    names = {name: source.columns[name].column or name for name in wanted}
    invalid: list[tuple[int, Problem, object]] = []
    # a header is row 1 to Arrow
    before_first = 1 if source.header else 0

    def keep(row: pa.csv.InvalidRow) -> str:
        problem = Problem(
            "wrong number of fields",
            f"has {row.actual_columns} fields where the file has {row.expected_columns} columns",
        )
        invalid.append((row.number - before_first, problem, row.text.replace(NOT_TEXT, "\ufffd")))
        return "skip"

    try:
        with open_text(path) as stream:
            reader = pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(
                    # threads would lose the numbers of invalid rows
                    use_threads=False,
                    block_size=block_bytes,
                    column_names=None
                    if source.header
                    else [c.column or n for n, c in source.columns.items()],
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=_delimiter(path, source), newlines_in_values=True, invalid_row_handler=keep
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(names.values()),
                    strings_can_be_null=False,
                    check_utf8=False,
                    column_types={name: pa.string() for name in names.values()},
                ),
            )
            following = 1
            for chunk in reader:
                if not chunk.num_rows:
                    continue
                positions, following = _positions(chunk.num_rows, following, invalid)
                unreadable, invalid[:] = (
                    [i for i in invalid if i[0] < following],
                    [i for i in invalid if i[0] >= following],
                )
                yield _batch(chunk, names, source, positions, unreadable)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        hint = "; is a quote left open?" if "straddl" in str(error) or "out of sync" in str(error) else ""
        raise DataError(f"{path}: cannot be read as CSV: {error}{hint}") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if invalid:
        nothing = {n: pa.nulls(0, pa.string()) for n in wanted}
        yield _typed(nothing, source, np.zeros(0, np.int64), invalid, lambda i: None)


def _delimiter(path: Path, source: Source) -> str:
    tabs = ".tsv" in path.suffixes[-2:] and "delimiter" not in source.model_fields_set
    return "\t" if tabs else source.delimiter


def _positions(rows: int, first: int, invalid: list[tuple[int, Problem, object]]) -> tuple[np.ndarray, int]:
    """Numbers of the next valid rows, and of the row after them. All invalid rows among them are known by
    now."""
    after, skipped = first + rows, []
    for number, _, _ in invalid:
        if number < after:
            skipped.append(number)
            after += 1
    return np.setdiff1d(np.arange(first, after), skipped), after


def _batch(
    chunk: pa.RecordBatch,
    names: dict[str, str],
    source: Source,
    positions: np.ndarray,
    unreadable: list[tuple[int, Problem, object]],
) -> Batch:
    texts = {name: pc.utf8_trim_whitespace(chunk.column(i)) for i, name in enumerate(names)}

    def raw(row: int) -> dict[str, str]:
        return {
            column: chunk.column(i)[row].as_py().replace(NOT_TEXT, "\ufffd")
            for i, column in enumerate(names.values())
        }

    return _typed(texts, source, positions, unreadable, raw)


def _typed(
    texts: dict[str, pa.Array],
    source: Source,
    positions: np.ndarray,
    unreadable: list[tuple[int, Problem, object]],
    raw: object,
) -> Batch:
    batch = Batch({}, positions, raw, unreadable=unreadable)
    for name, column_texts in texts.items():
        column = source.columns[name]
        batch.columns[name], bad = parse_texts(blank_missing(column_texts, column.missing), column)
        flag_values(batch, name, column.type, bad, lambda row, texts=column_texts: texts[row].as_py())
        if column.type in ("string", "list[string]"):
            odd = pc.match_substring(column_texts, NOT_TEXT)
            if pc.any(odd).as_py():
                batch.flag(
                    np.flatnonzero(odd),
                    lambda i, name=name: Problem(f"{name}: not UTF-8", f"{name}: the text is not UTF-8"),
                )
    return batch


def flag_values(
    batch: Batch, name: str, kind: str, bad: np.ndarray | None, value: Callable[[int], object]
) -> None:
    """Marks the rows whose value of a column could not be read as its type; `value` gives a row's, to be
    shown."""
    if bad is None:
        return
    article = "an" if kind == "int" else "a"

    def problem(row: int) -> Problem:
        # halves of surrogate pairs, which JSON can hold, cannot be written
        shown = str(value(row)).replace(NOT_TEXT, "\ufffd").encode(errors="replace").decode()
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return Problem(f"{name}: not {article} {kind}", f"{name}: '{shown}' is not {article} {kind}")

    batch.flag(np.flatnonzero(bad), problem)
