"""Which files a source has, in what format, and what their content is."""

from __future__ import annotations

import glob
import hashlib
import re
from pathlib import Path

from pipeline.ingest.errors import DataError
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Source

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
COMPRESSED = (".gz", ".bz2")
# How many bytes of plain text a byte of such a file holds, roughly; only used to size pieces of work.
EXPANSION = {".gz": 6, ".bz2": 10, ".parquet": 6}

# of files that `remote_files` brought, whose paths are their URIs
_SLASHES = re.compile("^((s3|gs|hdfs):)/")


def matching(patterns: list[str], input_dir: Path) -> list[str]:
    """Paths below `input_dir`, with `/`, that any of the patterns matches; sorted, each once."""
    found: set[str] = set()
    for pattern in patterns:
        for name in glob.glob(pattern, root_dir=input_dir, recursive=True):
            if (input_dir / name).is_file():
                found.add(_SLASHES.sub(r"\1//", Path(name).as_posix()))
    return sorted(found)


def resolve(source: Source, input_dir: Path, what: str) -> list[str]:
    """A source's files, sorted by path.

    Raises:
      DataError: the folder is absent, or a pattern matches no file in it.
    """
    if not input_dir.is_dir():
        raise DataError(f"the input folder {input_dir} does not exist")
    for pattern in source.files:
        if not matching([pattern], input_dir):
            there = sorted(
                p.relative_to(input_dir).as_posix() + ("/" if p.is_dir() else "")
                for p in input_dir.iterdir()
                if not p.name.startswith(".")
            )
            shown = ", ".join(there[:12]) + (f" and {len(there) - 12} more" if len(there) > 12 else "")
            raise DataError(
                f"{what}: no file matches '{pattern}' in {input_dir}; it holds {shown or 'nothing'}"
            )
    return matching(source.files, input_dir)


def file_format(source: Source, name: str) -> str:
    """csv, jsonl or parquet.

    Raises:
      DataError: neither the recipe nor the file's ending says.
    """
    if source.format is not None:
        return source.format
    path = Path(name.removesuffix(".gz").removesuffix(".bz2"))
    if path.suffix not in FORMATS:
        raise DataError(
            f"{name}: the ending '{path.suffix}' does not say the format; write `format:` in the recipe "
            f"(csv, jsonl or parquet), or use one of {', '.join(FORMATS)}"
        )
    if FORMATS[path.suffix] == "parquet" and name.endswith(COMPRESSED):
        raise DataError(f"{name}: Parquet compresses by itself; unpack it")
    return FORMATS[path.suffix]


def text_bytes(path: Path) -> int:
    """Roughly how many bytes the file would be as plain text."""
    return path.stat().st_size * EXPANSION.get(path.suffix, 1)


def file_digest(path: Path) -> str:
    """BLAKE2b of a file's content, 128 bits in hexadecimal.

    Raises:
      DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def source_digest(recipe: Recipe, input_dir: Path) -> dict[str, dict[str, str]]:
    """The content of everything that a recipe reads: source → path below `input_dir` → digest.

    The log is named `log`, a catalog `catalogs.<name>`, an event log `events.<name>`. It changes where a file
    is renamed, added or removed, and where one byte differs; not with a file's time or owner.

    Raises:
      DataError: as `resolve`, or a file cannot be read.
    """
    input_dir = Path(input_dir)
    sources: dict[str, Source] = {"log": recipe.sources.log}
    sources |= {f"catalogs.{name}": catalog for name, catalog in recipe.sources.catalogs.items()}
    sources |= {f"events.{name}": events for name, events in recipe.sources.events.items()}
    return {
        what: {name: file_digest(input_dir / name) for name in resolve(source, input_dir, f"sources.{what}")}
        for what, source in sources.items()
    }
