"""A disk without room, in words."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
# SQLite, and what C++ and other processes put in their own words
_SAID = ("No space left on device", "disk is full", "Disk quota exceeded")
_LITTLE = 1 << 20  # bytes


class NoRoom(Exception):
    """Nothing can be written, most often as the disk is full; in words."""


def full(error: BaseException | None, home: Path, do: str = "") -> str:
    """What to tell where an error is of a disk without room; empty where it is of something else.

    Args:
      error: its causes and what was handled when it was raised are looked at too.
      home: the folder that is written to: a recommender's.
      do: what to do then, where it is another folder.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        known = isinstance(error, OSError) and error.errno in _FULL or any(s in str(error) for s in _SAID)
        if known or _of_metadata(error, home):
            return _sentence(error, home, do)
        error = error.__cause__ or error.__context__
    return ""


def _of_metadata(error: BaseException, home: Path) -> bool:
    """Whether metadata could not be written for lack of room: where SQLite has undone what was being written,
    the error is that there is nothing to commit."""
    ours = type(error).__module__.startswith("ml_metadata")
    return ours and shutil.disk_usage(home).free < _LITTLE


def _sentence(error: BaseException, home: Path, do: str) -> str:
    where = Path(str(error.filename)) if isinstance(error, OSError) and error.filename else home
    place = next((p for p in (where, *where.parents) if p.exists()), home)
    usage = shutil.disk_usage(place)
    return (
        f"the disk that holds {place} is full ({usage.free / 1e6:,.0f} MB of {usage.total / 1e6:,.0f} MB are "
        f"free): {do or _of_a_run(home)}"
    )


def _of_a_run(home: Path) -> str:
    return (
        f"make room (`mtl runs gc {home}` deletes what is not needed), and run again: what had finished is used, "
        "and nothing half-written is"
    )
