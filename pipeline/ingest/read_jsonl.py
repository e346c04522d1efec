"""JSON Lines, streamed: blocks of lines by Arrow's parser, and line by line only where it refuses a block."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from pipeline.ingest.arrow_types import ARROW_TYPES, convert
from pipeline.ingest.batch import Batch, Problem
from pipeline.ingest.errors import DataError
from pipeline.ingest.read_csv import BLOCK_BYTES, flag_values
from pipeline.ingest.texts import blank_missing, merge, parse_texts
from pipeline.recipe.parts import Column, Source

KEY_LINES = 1000


def read_jsonl(
    path: Path, source: Source, wanted: list[str], block_bytes: int = BLOCK_BYTES
) -> Iterator[Batch]:
    """Yields the rows of a JSON Lines file in order. A key that is absent or null is a missing value.

    A number may stand where the recipe says string and a text where it says a number; they are read as a CSV
    file's texts are.

    Args:
      path: plain, .gz or .bz2.
      source: its part of the recipe.
      wanted: the recipe's names of the columns to read.
      block_bytes: of text a batch.

    Raises:
      DataError: the file as a whole cannot be read.
    """
    following = 1
    try:
        for lines in _blocks(path, block_bytes):
            positions = np.arange(following, following + len(lines))
            following += len(lines)
            yield _fast(lines, source, wanted, positions) or _slow(lines, source, wanted, positions)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _blocks(path: Path, block_bytes: int) -> Iterator[list[bytes]]:
    """The lines that are not blank, without line ends, a block at a time."""
    rest = b""
    with pa.input_stream(path, compression="detect") as stream:
        while True:
            chunk = stream.read(block_bytes)
            complete, rest = _cut(rest + chunk) if chunk else (rest, b"")
            lines = [line for line in complete.split(b"\n") if line and not line.isspace()]
            if lines:
                yield lines
            if not chunk:
                return


def _cut(text: bytes) -> tuple[bytes, bytes]:
    end = text.rfind(b"\n") + 1
    return text[:end], text[end:]


def first_keys(path: Path) -> set[str]:
    """The keys in the first `KEY_LINES` lines that are JSON objects."""
    keys: set[str] = set()
    try:
        lines = next(_blocks(path, 1 << 20), [])[:KEY_LINES]
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for line in lines:
        try:
            keys |= dict(json.loads(line)).keys()
        except (ValueError, TypeError, RecursionError):
            continue  # a dead letter, when the rows are read
    return keys


def _fast(lines: list[bytes], source: Source, wanted: list[str], positions: np.ndarray) -> Batch | None:
    """All lines at once; None where any of them is not simply what the recipe says."""
    texts = pa.array(lines, pa.binary())
    try:
        texts = pc.utf8_trim_whitespace(texts.cast(pa.string()))
        whole = pc.and_(pc.starts_with(texts, "{"), pc.ends_with(texts, "}"))
        if not pc.all(whole).as_py():
            return None
        schema = pa.schema([(_key(source, n), _json_type(source.columns[n])) for n in wanted])
        table = pa.json.read_json(
            io.BytesIO(b"\n".join(lines)),
            pa.json.ReadOptions(use_threads=False, block_size=1 << 30),
            pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != len(lines):
        return None
    batch = Batch({}, positions, lambda row: texts[row].as_py())
    for name in wanted:
        column, array = source.columns[name], table[_key(source, name)].combine_chunks()
        batch.columns[name], bad = convert(array, column, column.missing)
        flag_values(batch, name, column.type, bad, lambda row, array=array: array[row].as_py())
    return batch


def _key(source: Source, name: str) -> str:
    return source.columns[name].column or name


def _json_type(column: Column) -> pa.DataType:
    if (
        column.type == "date"
        or (column.type == "time" and column.unit == "iso")
        or column.separator is not None
    ):
        return pa.string()
    return pa.list_(pa.float64()) if column.type == "vector" else ARROW_TYPES[column.type]


def _slow(lines: list[bytes], source: Source, wanted: list[str], positions: np.ndarray) -> Batch:
    good, objects, unreadable = [], [], []
    for i, line in enumerate(lines):
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError("it is not an object")
        except (ValueError, RecursionError) as error:
            unreadable.append(
                (
                    int(positions[i]),
                    Problem("not JSON", f"is not a JSON object: {error}"),
                    line.decode(errors="replace"),
                )
            )
        else:
            good.append(i)
            objects.append(value)
    batch = Batch(
        {}, positions[good], lambda row: lines[good[row]].decode(errors="replace"), unreadable=unreadable
    )
    for name in wanted:
        values = [o.get(_key(source, name)) for o in objects]
        column = source.columns[name]
        if column.type in ("list[int]", "list[string]", "vector") and column.separator is None:
            batch.columns[name], bad = _lists(values, column)
        else:
            batch.columns[name], bad = _scalars(values, column)
        flag_values(batch, name, column.type, bad, lambda row, values=values: values[row])
    return batch


def _scalars(values: list[object], column: Column) -> tuple[pa.Array, np.ndarray | None]:
    """JSON values by way of the texts a CSV file would hold."""
    bad = np.array(
        [isinstance(v, (dict, list)) or (isinstance(v, bool) and column.type != "int") for v in values], bool
    )
    texts = [
        None
        if v is None or wrong
        else v
        if isinstance(v, str)
        else str(int(v))
        if isinstance(v, int)
        else repr(v)
        for v, wrong in zip(values, bad)
    ]
    try:
        array = pa.array(texts, pa.string())
    except (pa.ArrowInvalid, UnicodeEncodeError):  # half of a surrogate pair is JSON but no text
        proper = [None if t is None or any("\ud800" <= c <= "\udfff" for c in t) else t for t in texts]
        bad |= np.array([t is not p for t, p in zip(texts, proper)], bool)
        array = pa.array(proper, pa.string())
    typed, wrong = parse_texts(blank_missing(array, column.missing), column)
    return typed, merge(bad if bad.any() else None, wrong)


def _lists(values: list[object], column: Column) -> tuple[pa.Array, np.ndarray | None]:
    element = Column(
        type={"list[int]": "int", "list[string]": "string", "vector": "float"}[column.type],
        missing=column.missing,
    )
    flat, owners = [], []
    bad = np.zeros(len(values), bool)
    for i, value in enumerate(values):
        if isinstance(value, list):
            flat += value
            owners += [i] * len(value)
        elif value is not None:
            bad[i] = True
    typed, wrong = _scalars(flat, element)
    rows = np.array(owners, np.int64)
    if wrong is not None:
        bad[rows[wrong]] = True
    present = typed.is_valid().to_numpy(zero_copy_only=False)
    if column.type == "vector":
        bad[rows[~present]] = True
        typed = typed.cast(pa.float32())
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.bincount(rows[present], minlength=len(values)), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), typed.drop_null()), bad if bad.any() else None
