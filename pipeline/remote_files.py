"""Files of s3, gs and hdfs, brought to where this machine and Beam's workers read files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ingest.errors import DataError, Unreachable
from pipeline.private import private_columns
from pipeline.reachable import reach
from pipeline.recipe import Recipe
from pipeline.recipe.remote import remote_patterns
from pipeline.store_errors import told

if TYPE_CHECKING:
    from pipeline.remote_listing import Files

FOLDER = "sources"
_RECORD = ".fetched.json"
_THREADS = 4
_SETTLED = 60.0  # seconds


@contextlib.contextmanager
def local_files(
    recipe: Recipe, input_dir: Path, home: Path, tell: Callable[[str, float | None], None] | None = None
) -> Iterator[Path]:
    """The folder that all of the recipe's paths and patterns are below, with the remote ones in it.

    Where there are none, it is `input_dir`. Else it is `home/sources`: links to what is in `input_dir`, and
    each file that a remote pattern matches, whole, by its URI (`s3:/bucket/path`). A file is fetched again
    only where size, time or checksum of it have changed, and goes where it is gone there. Where a column of
    the recipe is private, nobody else can read the copies, which are as raw as their sources, and none stays.

    Args:
      recipe: names the files; its `beam.options` say how file systems are reached.
      input_dir: the folder that paths are below.
      home: of one process at a time; must be seen by Beam's workers.
      tell: hears what is being fetched, and the share that is.

    Raises:
      DataError: a pattern matches nothing, or a file system cannot be read; says why.
      Unreachable: it gives no answer, the connection was lost, or a file changed meanwhile.
    """
    patterns = remote_patterns(recipe)
    if not patterns:
        yield input_dir
        return
    if not input_dir.is_dir():
        raise DataError(f"the input folder {input_dir} does not exist")
    folder, private = home / FOLDER, bool(private_columns(recipe))
    if private:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed, or of a recipe without
    folder.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    try:
        _link(input_dir.resolve(), folder)
        _bring(recipe, patterns, folder, tell)
        yield folder
    finally:
        if private:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def files_for_once(recipe: Recipe, input_dir: Path) -> Iterator[Path]:
    """`local_files`, of which nothing is kept; meanwhile they are where `tempfile` says."""
    with (
        tempfile.TemporaryDirectory(prefix="sources-") as home,
        local_files(recipe, input_dir, Path(home)) as folder,
    ):
        yield folder


def _link(input_dir: Path, folder: Path) -> None:
    for link in folder.iterdir():
        if link.is_symlink():
            link.unlink()
    for entry in input_dir.iterdir():
        # nor what this folder is itself in, as OUTPUT may be below the input folder
        if not entry.name.startswith(".") and not folder.resolve().is_relative_to(entry.resolve()):
            (folder / entry.name).symlink_to(entry)


def _bring(
    recipe: Recipe, patterns: dict[str, str], folder: Path, tell: Callable[[str, float | None], None] | None
) -> None:
    from apache_beam.io.filesystems import FileSystems

    from pipeline.beam_pipeline import beam_options
    from pipeline.remote_listing import Files, listed

    options = beam_options(recipe)
    files = Files(options)
    FileSystems.set_options(options)
    there: dict[str, tuple[int, float]] = {}
    for pattern, place in patterns.items():
        with told(place, pattern):
            reach(pattern, options)
            found = listed(pattern, options)
        if not found:
            raise DataError(f"{place}: no file matches {pattern}")
        for path in found:
            if ".." in path.split("/"):
                raise DataError(f"{place}: {path} is named so that it cannot be a file here")
        there |= found
    record = folder / _RECORD
    had = json.loads(record.read_text()) if record.is_file() else {}
    for path in had.keys() - there.keys():
        (folder / path).unlink(missing_ok=True)
    total, done = sum(size for size, _ in there.values()) or 1, 0
    kept: dict[str, list[Any]] = {}
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            futures = {
                path: threads.submit(_fetched, files, path, [size, updated], had.get(path), folder / path)
                for path, (size, updated) in there.items()
            }
            try:
                for path, future in futures.items():
                    with told("sources", path):
                        kept[path] = future.result()
                    done += there[path][0]
                    if tell is not None:
                        tell(f"fetching {len(there):,} files, {total / 1e6:,.1f} MB", done / total)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
    finally:
        part = record.with_name(f"{_RECORD}.part")
        part.write_text(json.dumps(kept))
        os.replace(part, record)


def _fetched(files: Files, path: str, listed: list[Any], had: list[Any] | None, target: Path) -> list[Any]:
    """Brings a file where it is not here as it is there, and says what it is known by: size, time, checksum,
    and when that was looked at."""
    size, begun = listed[0], time.time()
    here = had is not None and target.is_file() and target.stat().st_size == size
    # written within the second that it was read in, a file may be another with the same time
    if here and had[:2] == listed and had[3] - listed[1] > _SETTLED:
        return had
    checksum = files.checksum(path)
    if here and had[:3] == [*listed, checksum]:
        return [*had[:3], begun]
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with files.open(path) as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink, 16 << 20)
        if part.stat().st_size != size or files.checksum(path) != checksum:
            raise Unreachable(f"sources: {path} changed while it was read; run again once it is written")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return [*listed, checksum, begun]
