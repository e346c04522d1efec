"""Which versions of a served folder are whole, and which one serves."""

import time
from dataclasses import dataclass
from pathlib import Path

from serving.history import history
from serving.versions import POINTER, versions


def preferred(folder: Path) -> int | None:
    """The version that CURRENT names; without a pointer that can be read, the highest that is whole."""
    try:
        named = (folder / POINTER).read_text(errors="replace").strip()
    except OSError:
        named = ""
    if named.isdecimal() and is_whole(folder / named):
        return int(named)
    return max((v for v in versions(folder) if is_whole(folder / str(v))), default=None)


def served_until(folder: Path, version: int | None) -> tuple[int, ...]:
    """The versions that came to serve up to one, without those that were rolled back from; oldest first."""
    try:
        return history(folder, version).served
    except (OSError, ValueError, KeyError):  # a log or ledger that cannot be read decides nothing
        return ()


def is_whole(version: Path) -> bool:
    """Whether graph and variables are there. TensorFlow Serving wants no more than a number as the name."""
    if not (version / "saved_model.pb").is_file():
        return False
    variables = version / "variables"
    return not variables.is_dir() or (variables / "variables.index").is_file()


@dataclass(frozen=True)
class Stamp:
    """Of a file: `changed` is its ctime in nanoseconds, which `cp -p` cannot set but a new hard link does."""

    path: str
    size: int
    written: int
    changed: int
    links: int


def stamp(version: Path) -> tuple[Stamp, ...]:
    """Of every file of a version."""
    found = []
    for path in [version, *sorted(version.rglob("*"))]:
        about = path.stat()
        found.append(Stamp(str(path), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_nlink))
    return tuple(found)


def is_same(before: tuple[Stamp, ...], after: tuple[Stamp, ...]) -> bool:
    """Whether no file was written in between; a roll-back may have made a hard link of it."""
    return len(before) == len(after) and all(
        (old.path, old.size, old.written) == (new.path, new.size, new.written)
        and (old.changed == new.changed or old.links != new.links)
        for old, new in zip(before, after)
    )


def is_settled(of: tuple[Stamp, ...], seconds: float) -> bool:
    """Whether nothing changed for so long: a copy that is still being written is left alone."""
    return time.time_ns() - max(file.changed for file in of) >= seconds * 1e9
