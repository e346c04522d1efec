"""JSON Lines, streamed: blocks of lines by Arrow's parser, and line by line only where it refuses a block."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from pipeline.ingest.arrow_types import ARROW_TYPES, convert
from pipeline.ingest.batch import Batch, Problem
from pipeline.ingest.csv_blocks import MAX_LINE
from pipeline.ingest.errors import DataError
from pipeline.ingest.read_csv import BLOCK_BYTES, open_bytes
from pipeline.ingest.texts import blank_missing, element, list_elements, merge, parse_texts
from pipeline.ingest.values import take_in
from pipeline.recipe.parts import Column, Source

KEY_LINES = 1000
_CHANGED = re.compile(r"Column\(/(.+)\) changed from \w+ to (\w+) in row")


def read_jsonl(
    path: Path, source: Source, wanted: list[str], block_bytes: int = BLOCK_BYTES
) -> Iterator[Batch]:
    """Yields the rows of a JSON Lines file in order. A key that is absent or null is a missing value.

    A number may stand where the recipe says string and a text where it says a number; both are read as a CSV
    file's texts are. White space around a text is not part of it.

    Args:
      path: plain, .gz or .bz2.
      source: its part of the recipe.
      wanted: the recipe's names of the columns to read.
      block_bytes: of text a batch.

    Raises:
      DataError: the file as a whole cannot be read.
    """
    following = 1
    written: dict[str, pa.DataType] = {}
    try:
        for lines in _blocks(path, block_bytes):
            positions = np.arange(following, following + len(lines))
            following += len(lines)
            fast = _fast(lines, source, wanted, positions, written)
            yield fast or _slow(lines, source, wanted, positions)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _blocks(path: Path, block_bytes: int) -> Iterator[list[bytes]]:
    """The lines that are not blank, without line ends, a block at a time."""
    for text in _texts(path, block_bytes):
        lines = [line for line in text.split(b"\n") if line and not line.isspace()]
        if lines:
            yield lines


def _texts(path: Path, block_bytes: int) -> Iterator[bytes]:
    """The file's text, in parts that end where a line does."""
    rest = b""
    with open_bytes(path) as stream:
        while True:
            chunk = stream.read(block_bytes)
            complete, rest = _cut(rest + chunk) if chunk else (rest, b"")
            if complete:
                yield complete
            if not chunk:
                return
            if len(rest) > MAX_LINE:
                raise DataError(f"{path}: a line is longer than {MAX_LINE >> 20} MiB: is this JSON Lines?")


def _cut(text: bytes) -> tuple[bytes, bytes]:
    end = text.rfind(b"\n") + 1
    return text[:end], text[end:]


class Keys(NamedTuple):
    """Of the first `KEY_LINES` lines, those that are JSON objects: how many, and how many have each key."""

    lines: int
    counts: Counter[str]


def key_counts(path: Path) -> Keys:
    """The keys at the head of a file.

    Raises:
      DataError: the file cannot be read.
    """
    counts: Counter[str] = Counter()
    objects = 0
    try:
        lines = next(_blocks(path, 1 << 20), [])[:KEY_LINES]
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for line in lines:
        try:
            counts.update(dict(json.loads(line)).keys())
        except (ValueError, TypeError, RecursionError):
            continue  # a dead letter, when the rows are read
        objects += 1
    return Keys(objects, counts)


def first_keys(path: Path) -> set[str]:
    """The keys at the head of a file."""
    return set(key_counts(path).counts)


def find_keys(path: Path, keys: set[str]) -> set[str]:
    """Which of these keys any line of the file has; reads on until it has found all.

    Raises:
      DataError: the file cannot be read.
    """
    found: set[str] = set()
    patterns = {key: _written(key) for key in keys}
    try:
        for text in _texts(path, BLOCK_BYTES):
            found |= {key for key in keys - found if _has_key(text, patterns[key], key)}
            if found == keys:
                break
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return found


def _written(key: str) -> re.Pattern[bytes]:
    """A key as JSON writes it, with or without escapes."""
    forms = {json.dumps(key), json.dumps(key, ensure_ascii=False)}
    forms |= {form.replace("/", "\\/") for form in forms}
    return re.compile(b"(?:" + b"|".join(re.escape(form.encode()) for form in forms) + rb")\s*:")


def _has_key(text: bytes, pattern: re.Pattern[bytes], key: str) -> bool:
    for match in pattern.finditer(text):
        start, end = text.rfind(b"\n", 0, match.start()) + 1, text.find(b"\n", match.end())
        try:  # it may be the key of an object within
            if key in dict(json.loads(text[start : None if end < 0 else end])):
                return True
        except (ValueError, TypeError, RecursionError):
            continue
    return False


def _fast(
    lines: list[bytes],
    source: Source,
    wanted: list[str],
    positions: np.ndarray,
    written: dict[str, pa.DataType],
) -> Batch | None:
    """All lines at once; None where any of them is not simply what the recipe says, or what all others are.
    `written` remembers for the next lines how columns are written."""
    texts = pa.array(lines, pa.binary())
    try:
        texts = pc.utf8_trim_whitespace(texts.cast(pa.string()))
        whole = pc.and_(pc.starts_with(texts, "{"), pc.ends_with(texts, "}"))
        if not pc.all(whole).as_py():
            return None
        table = _parse(b"\n".join(lines), {_key(source, n): source.columns[n] for n in wanted}, written)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != len(lines):
        return None
    batch = Batch({}, positions, lambda row: texts[row].as_py())
    for name in wanted:
        column, array = source.columns[name], table[_key(source, name)].combine_chunks()
        take_in(batch, name, column, *convert(array, column), lambda row, array=array: array[row].as_py())
    return batch


def _parse(text: bytes, columns: dict[str, Column], written: dict[str, pa.DataType]) -> pa.Table:
    changed: set[str] = set()
    while True:
        schema = pa.schema([(key, written.get(key, _json_type(column))) for key, column in columns.items()])
        try:
            return pa.json.read_json(
                io.BytesIO(text),
                pa.json.ReadOptions(use_threads=False, block_size=1 << 30),
                pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except pa.ArrowInvalid as error:
            found = _CHANGED.search(str(error))
            key = found and found[1]
            other = _other_type(columns[key], found[2]) if key in columns and key not in changed else None
            if other is None:
                raise
            changed.add(key)
            written[key] = other


def _other_type(column: Column, kind: str) -> pa.DataType | None:
    """How Arrow can read a column whose values are not written as the recipe's type is."""
    is_list = column.type in ("list[int]", "list[string]", "vector")
    if kind == "string":
        return pa.string() if not is_list or column.separator is not None else None
    if kind == "boolean":
        return pa.bool_() if column.type in ("int", "float") else None
    if kind == "number":
        return {"string": pa.int64(), "float": pa.float64()}.get(column.type, _json_type(column))
    return ARROW_TYPES[column.type] if kind == "array" and is_list else None


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
            problem = (
                Problem("not UTF-8", f"the text is not UTF-8: {error}")
                if isinstance(error, UnicodeDecodeError)
                else Problem("not JSON", f"is not a JSON object: {error}")
            )
            unreadable.append((int(positions[i]), problem, line.decode(errors="replace")))
        else:
            good.append(i)
            objects.append(value)
    batch = Batch(
        {}, positions[good], lambda row: lines[good[row]].decode(errors="replace"), unreadable=unreadable
    )
    for name in wanted:
        values = [o.get(_key(source, name)) for o in objects]
        column = source.columns[name]
        is_list = column.type in ("list[int]", "list[string]", "vector")
        array, bad = (_lists if is_list else _scalars)(values, column)
        take_in(batch, name, column, array, bad, lambda row, values=values: values[row])
    return batch


def _scalars(values: list[object], column: Column) -> tuple[pa.Array, np.ndarray | None]:
    """JSON values by way of the texts a CSV file would hold."""
    number = column.type in ("int", "float")
    bad = np.array(
        [isinstance(v, (dict, list)) or (isinstance(v, bool) and not number) for v in values], bool
    )
    texts = [None if v is None or wrong else _text(v) for v, wrong in zip(values, bad)]
    try:
        array = pa.array(texts, pa.string())
    except (pa.ArrowInvalid, UnicodeEncodeError):  # half of a surrogate pair is JSON but no text
        proper = [None if t is None or any("\ud800" <= c <= "\udfff" for c in t) else t for t in texts]
        bad |= np.array([t is not p for t, p in zip(texts, proper)], bool)
        array = pa.array(proper, pa.string())
    typed, wrong = parse_texts(blank_missing(array, column.missing), column)
    return typed, merge(bad if bad.any() else None, wrong)


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, int) else repr(value)


def _lists(values: list[object], column: Column) -> tuple[pa.Array, np.ndarray | None]:
    flat: list[object] = []
    owners: list[int] = []
    bad = np.zeros(len(values), bool)
    for i, value in enumerate(values):
        if isinstance(value, (str, int, float)) and column.separator is not None:
            text = _text(value)
            value = [] if text.strip() in column.missing else text.split(column.separator)
        if isinstance(value, list):
            flat += value
            owners += [i] * len(value)
        elif value is not None:
            bad[i] = True
    typed, wrong = _scalars(flat, element(column))
    rows = np.array(owners, np.int64)
    if wrong is not None:
        bad[rows[wrong]] = True
    array, incomplete = list_elements(typed, rows, len(values), column)
    return array, merge(bad if bad.any() else None, incomplete)
