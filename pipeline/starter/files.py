"""Paths given on a command line → groups of files, one a source."""

from __future__ import annotations

import errno
import glob
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.ingest.errors import DataError
from pipeline.ingest.files import COMPRESSED, FORMATS, matching
from pipeline.ingest.read_csv import NOT_TEXT, header, open_text
from pipeline.ingest.read_jsonl import first_keys
from pipeline.ingest.read_parquet import parquet_file
from pipeline.recipe.parts import Log
from pipeline.starter.names import source_name

LOOKED_AT = 50  # heads of at most this many files of a group
DELIMITERS = (",", "\t", ";", "|")


@dataclass
class Group:
    """Files of one source.

    Attributes:
      name: of the source, from its path.
      paths: below `root`, with `/`, sorted.
      patterns: what the recipe writes: they match these files and no others.
      columns: those that every file looked at has, in the first one's order.
      dropped: columns that only some of the files have.
    """

    root: Path
    name: str
    paths: list[str]
    patterns: list[str]
    format: str
    delimiter: str
    columns: list[str]
    dropped: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum((self.root / p).stat().st_size for p in self.paths)


def find(data: list[str]) -> tuple[list[Group], list[str]]:
    """The groups of files that `data` (files, folders, patterns) name, and files that hold no rows.

    Raises:
      DataError: nothing is there, a format is unknown, or a CSV file has no line of names.
    """
    files: set[Path] = set()
    empty: list[Path] = []
    for text in data:
        path = Path(text)
        if path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                raise DataError(f"{text}: cannot be read: {os.strerror(errno.EACCES)}")
            there = [p for p in path.rglob("*") if p.is_file() and not _hidden(p, path)]
            found = [p for p in there if _by_ending(p)] or [p for p in there if _looks_like_csv(p)]
            if not found:
                raise DataError(
                    f"{text}: no file below it ends in one of {', '.join(FORMATS)} or reads as CSV"
                )
            empty += (bare := [p for p in found if not _has_rows(p)])
            found = [p for p in found if p not in bare]
        else:
            found = [path] if path.is_file() else [Path(p) for p in glob.glob(text, recursive=True)]
            found = [p for p in found if p.is_file()]
            if not found:
                raise DataError(f"{text}: there is no such file, and no file matches it as a pattern")
            for p in found:
                if not _by_ending(p) and not _looks_like_csv(p):
                    raise DataError(
                        f"{p}: its ending is none of {', '.join(FORMATS)}, and it does not read as CSV"
                    )
        files |= {p.resolve() for p in found}
    if not files:
        raise DataError(f"{', '.join(data)}: no file there has rows")
    given = [Path(text).resolve() for text in data if Path(text).is_dir()]
    root = Path(os.path.commonpath(given + [f.parent for f in files]))
    return _grouped(root, sorted(f.relative_to(root).as_posix() for f in files)), [str(p) for p in empty]


def _by_ending(path: Path) -> str | None:
    return FORMATS.get(Path(path.name.removesuffix(".gz").removesuffix(".bz2")).suffix)


def _format(path: Path) -> str:
    return _by_ending(path) or "csv"


def _looks_like_csv(path: Path) -> bool:
    """Lines of text with as many delimiters in each."""
    try:
        with open_text(path) as stream:
            text = stream.read(1 << 14).decode(errors="replace")
    except (OSError, EOFError):
        return False
    lines = [line for line in text.splitlines()[:20] if line][:-1]
    if len(lines) < 2 or NOT_TEXT in text or "\0" in text:
        return False
    return any(len({line.count(d) for line in lines}) == 1 and d in lines[0] for d in DELIMITERS)


def _has_rows(path: Path) -> bool:
    """False for what only ends like a table: an empty file, a JSON document over many lines."""
    return path.stat().st_size > 0 and (_format(path) != "jsonl" or bool(first_keys(path)))


def _hidden(path: Path, below: Path) -> bool:
    return any(part[0] in "._" for part in path.relative_to(below).parts)


def _grouped(root: Path, paths: list[str]) -> list[Group]:
    alike: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        alike.setdefault((re.sub(r"\d+", "#", path),), []).append(path)
    heads = {path: _head(root / path) for group in alike.values() for path in _spread(group)}
    merged: dict[tuple[object, ...], list[list[str]]] = {}
    for (pattern,), group in alike.items():
        for part in _same_table(group, heads):
            columns, delimiter = heads[part[0]]
            key = (os.path.dirname(pattern), _format(Path(part[0])), delimiter, tuple(sorted(columns)))
            merged.setdefault(key, []).append(part)
    taken: set[str] = set()
    groups = []
    for parts in merged.values():
        group = sorted(path for part in parts for path in part)
        seen = [heads[p][0] for p in group if p in heads]
        common = [c for c in seen[0] if all(c in s for s in seen)]
        name = base = source_name(group)
        for number in range(2, 1000):
            if name not in taken:
                break
            name = f"{base}_{number}"
        taken.add(name)
        dropped = sorted({c for s in seen for c in s} - set(common))
        kind, delimiter = _format(Path(group[0])), heads[group[0]][1]
        groups.append(Group(root, name, group, _patterns(root, group), kind, delimiter, common, dropped))
    return groups


def _spread(items: list[str], most: int = LOOKED_AT) -> list[str]:
    """At most so many of them, evenly, with the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _same_table(group: list[str], heads: dict[str, tuple[list[str], str]]) -> list[list[str]]:
    """Files named alike are one table if most of their columns agree, and each its own otherwise."""
    sets = [set(heads[p][0]) for p in group if p in heads]
    common, union = set.intersection(*sets), set.union(*sets)
    if len(common) >= 0.5 * len(union):
        return [group]
    return [[path] for path in group if path in heads]


def _patterns(root: Path, group: list[str]) -> list[str]:
    """One pattern that matches these files and no others there, and files to come; or their names."""
    if len(group) == 1:
        return group
    parts = [path.split("/") for path in group]
    if len({len(p) for p in parts}) > 1:
        return group
    pattern = "/".join(_common_pattern([p[i] for p in parts]) for i in range(len(parts[0])))
    folder, _, last = pattern.rpartition("/")
    wider = "/".join(filter(None, (folder, re.sub(r"\d+", "*", last))))
    return next(([p] for p in (wider, pattern) if matching([p], root) == group), group)


def _common_pattern(names: list[str]) -> str:
    if len(set(names)) == 1:
        return names[0]
    start = re.sub(r"[0-9][0-9_.-]*$", "", os.path.commonprefix(names))
    endings = {n[n.index(".") :] if "." in n else "" for n in names}
    end = endings.pop() if len(endings) == 1 else os.path.commonprefix([n[::-1] for n in names])[::-1]
    return f"{start}*{end}"


def _head(path: Path) -> tuple[list[str], str]:
    """Names of the columns, and the delimiter."""
    kind = _format(path)
    if kind == "parquet":
        if path.name.endswith(COMPRESSED):
            raise DataError(f"{path}: Parquet compresses by itself; unpack it")
        with parquet_file(path) as file:
            return file.schema_arrow.names, ","
    if kind == "jsonl":
        return sorted(first_keys(path)), ","
    return _csv_head(path)


def _csv_head(path: Path) -> tuple[list[str], str]:
    try:
        with open_text(path) as stream:
            lines = stream.read(1 << 16).decode(errors="replace").splitlines()[:20]
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not lines:
        raise DataError(f"{path} is empty; its first line must name the columns")
    counts = {d: min(line.count(d) for line in lines[:-1] or lines) for d in DELIMITERS}
    delimiter = "\t" if ".tsv" in path.suffixes[-2:] else max(DELIMITERS, key=lambda d: counts[d])
    names = header(path, Log(files=["x"], columns={"x": "int"}, delimiter=delimiter))
    numbers = [n for n in names if re.fullmatch(r"\s*-?[0-9]+(\.[0-9]+)?\s*", n)]
    twice = [n for i, n in enumerate(names) if n in names[:i]]
    if twice and not numbers:
        raise DataError(f"{path}: its first line names two columns '{twice[0]}'; give each its own name")
    counted = [str(i) for i in range(len(names))]
    if (numbers and names not in (counted, ["", *counted[:-1]])) or twice:
        shown = ", ".join(n.strip() for n in names[:6]) + (", ..." if len(names) > 6 else "")
        raise DataError(
            f"{path}: its first line is data and does not name the columns ({shown}). Nothing in it says "
            f"what its {len(names)} columns are: put a line with {len(names)} names before the first, or "
            "write the recipe by hand with `header: false` and all columns in order, as "
            "data/census/recipe.yaml does"
        )
    return names, delimiter
