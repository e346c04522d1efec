"""Which rows of which span a source's files have, and what is in them.

Each file is read once and remembered by the digest of its bytes, so that a day's run reads what is new. A
span's content is a sum over its rows, whatever files and order they stand in: rows that come late change it,
and rows of other spans in the same files do not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.digests import text_digest
from pipeline.ingest.files import file_digest, resolve
from pipeline.ingest.hashing import hash_columns, mix
from pipeline.ingest.read import check_columns, read
from pipeline.recipe.parts import Source
from pipeline.spans.calendar import Calendar

_FORM = "1"  # of what is remembered; goes up where the same rows would have other digests
_SALT = np.uint64(0x7370616E)
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class FileContent:
    """A file's rows by span.

    Attributes:
      spans: number → (rows, two sums of their hashes).
      newest: milliseconds of its newest row; None where no row has a time.
    """

    spans: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    newest: int | None = None

    @cached_property
    def home(self) -> int | None:
        """The span with most of its rows."""
        return max(self.spans, key=lambda n: (self.spans[n][0], -n), default=None)


@dataclass(frozen=True)
class Content:
    """A source's files, by path below the input folder."""

    files: dict[str, FileContent]

    @cached_property
    def spans(self) -> list[int]:
        """The spans that have rows, in order."""
        return sorted({number for file in self.files.values() for number in file.spans})

    @property
    def newest(self) -> int | None:
        """Milliseconds of the newest row."""
        return max((f.newest for f in self.files.values() if f.newest is not None), default=None)

    def having(self, first: int | None, last: int) -> list[str]:
        """The files with rows of the spans from `first` (of all where None) to `last`."""
        return [
            name
            for name, file in self.files.items()
            if any((first is None or first <= n) and n <= last for n in file.spans)
        ]

    def digest(self, numbers: Iterable[int]) -> str:
        """Of the rows of these spans."""
        total = [0, 0, 0]
        for number in numbers:
            for file in self.files.values():
                if number in file.spans:
                    total = [(a + b) & _MASK for a, b in zip(total, file.spans[number], strict=True)]
        return text_digest(*map(str, total))


def content(
    source: Source, time: str, input_dir: Path, what: str, calendar: Calendar, folder: Path, key: str
) -> Content:
    """Looks at a source's files, at those that are new row by row.

    Args:
      source: the log, or events.
      time: its column that says which span a row is of.
      input_dir: the folder that its paths are below.
      what: its name in messages.
      calendar: the spans.
      folder: where it is remembered what is in a file.
      key: which private key there is: with another, private columns have other values.

    Raises:
      DataError: a file is missing, or cannot be read.
    """
    names = resolve(source, input_dir, what)
    about = source.model_dump_json(exclude={"files", "complete_until"})
    read_as = (_FORM, calendar.by, str(calendar.offset), time, about, key)
    found: dict[str, FileContent] = {}
    fresh: list[tuple[str, Path]] = []
    for name in names:
        path = folder / f"{text_digest(*read_as, file_digest(input_dir / name), Path(name).suffix)}.json"
        if path.is_file():
            found[name] = _load(path)
        else:
            fresh.append((name, path))
    check_columns(input_dir, names, source, what)
    for name, path in fresh:
        found[name] = _look(source, time, input_dir, name, calendar)
        _keep(found[name], path)
    return Content({name: found[name] for name in names})


def _look(source: Source, time: str, input_dir: Path, name: str, calendar: Calendar) -> FileContent:
    columns = list(source.columns)
    totals: dict[int, list[int]] = {}
    newest = None
    for batch in read(input_dir, name, source, columns):
        known = batch.columns[time].is_valid()
        times = batch.columns[time].filter(known).to_numpy()
        if not len(times):
            continue
        newest = int(times.max()) if newest is None else max(newest, int(times.max()))
        hashes = hash_columns([_plain(batch.columns[n]) for n in columns])[
            known.to_numpy(zero_copy_only=False)
        ]
        numbers, place = np.unique(calendar.numbers(times), return_inverse=True)
        for i, number in enumerate(numbers.tolist()):
            rows = hashes[place == i]
            more = (len(rows), int(rows.sum(dtype=np.uint64)), int(mix(rows ^ _SALT).sum(dtype=np.uint64)))
            before = totals.get(number, [0, 0, 0])
            totals[number] = [(a + b) & _MASK for a, b in zip(before, more, strict=True)]
    return FileContent({n: tuple(of) for n, of in sorted(totals.items())}, newest)


def _plain(column: pa.Array) -> pa.Array:
    """A list as one text, so that it can be hashed."""
    if not pt.is_list(column.type):
        return column
    texts = column.cast(pa.list_(pa.string()))
    return pc.binary_join(texts, "\0")


def _load(path: Path) -> FileContent:
    kept = json.loads(path.read_text())
    return FileContent({int(n): tuple(of) for n, of in kept["spans"].items()}, kept["newest"])


def _keep(file: FileContent, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps({"spans": file.spans, "newest": file.newest}))
    os.replace(part, path)
