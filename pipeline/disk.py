"""A disk without room, or a limit on the size of files, in words."""

from __future__ import annotations

import errno
import resource
import shutil
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# SQLite, and what C++ and other processes put in their own words
_SAID = ("No space left on device", "disk is full", "Disk quota exceeded")
_TOO_LARGE = "File too large"
_SQLITE = "disk I/O error"  # what SQLite says of a limit on files, and of a broken disk
_LITTLE = 1 << 20  # bytes
_AGAIN = "run again: what had finished is used, and nothing half-written is"


class NoRoom(Exception):
    """Nothing can be written, most often as the disk is full; in words."""


def full(error: BaseException | None, home: Path, then: str = "") -> str:
    """What to tell where an error is of a disk without room, or of a file larger than files may be; empty
    where it is of something else.

    Args:
      error: its causes and what was handled when it was raised are looked at too.
      home: the folder that is written to: a recommender's.
      then: what to do once there is room, where it is another folder.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if _beyond_limit(error):
            return _limited(then or _AGAIN)
        known = isinstance(error, OSError) and error.errno in NO_ROOM or any(s in str(error) for s in _SAID)
        if known or _of_metadata(error, home):
            return _sentence(error, home, then)
        error = error.__cause__ or error.__context__
    return ""


def _beyond_limit(error: BaseException) -> bool:
    said = str(error)
    large = isinstance(error, OSError) and error.errno == errno.EFBIG or _TOO_LARGE in said
    return large or _SQLITE in said and _limit() != resource.RLIM_INFINITY


def _limit() -> int:
    """Bytes that a file of this process may have."""
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0]


def _limited(then: str) -> str:
    if _limit() == resource.RLIM_INFINITY:
        return f"a file is larger than the disk's file system takes: write to another, and {then}"
    return (
        f"a file would be larger than the {_limit() / 1e3:,.0f} kB that this process may write (`ulimit "
        f"-f` of its shell, LimitFSIZE= of its systemd unit): raise that limit, and {then}"
    )


def _of_metadata(error: BaseException, home: Path) -> bool:
    """Whether metadata could not be written for lack of room: where SQLite has undone what was being written,
    the error is that there is nothing to commit."""
    ours = type(error).__module__.startswith("ml_metadata")
    return ours and shutil.disk_usage(home).free < _LITTLE


def _sentence(error: BaseException, home: Path, then: str) -> str:
    where = Path(str(error.filename)) if isinstance(error, OSError) and error.filename else home
    place = next((p for p in (where, *where.parents) if p.exists()), home)
    usage = shutil.disk_usage(place)
    gc = "" if then else f" (`mtl runs gc {home}` deletes what is not needed)"
    return (
        f"the disk that holds {place} is full ({usage.free / 1e6:,.0f} MB of {usage.total / 1e6:,.0f} MB are "
        f"free): make room{gc}, and {then or _AGAIN}"
    )
