"""Which versions of a served folder are whole, and which one serves."""

import time
from pathlib import Path

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


def is_whole(version: Path) -> bool:
    """Whether graph and variables are there. TensorFlow Serving wants no more than a number as the name."""
    if not (version / "saved_model.pb").is_file():
        return False
    variables = version / "variables"
    return not variables.is_dir() or (variables / "variables.index").is_file()


def stamp(version: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change (ctime, which `cp -p` cannot set) of every file of a version."""
    found = []
    for path in [version, *sorted(version.rglob("*"))]:
        about = path.stat()
        found.append((str(path), about.st_size, about.st_ctime_ns))
    return tuple(found)


def is_settled(of: tuple[tuple[str, int, int], ...], seconds: float) -> bool:
    """Whether nothing changed for so long: a copy that is still being written is left alone."""
    return time.time_ns() - max(changed for _, _, changed in of) >= seconds * 1e9
