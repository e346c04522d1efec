"""A mounted folder that has gone: its server died, or it was mounted anew under what was open."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

_GONE = (errno.ENOTCONN, errno.ESTALE)
_TABLE = Path("/proc/self/mounts")


def lost(error: BaseException | None) -> str:
    """What to tell where an error is of a mount that does not answer; empty where it is of something else.

    Args:
      error: its causes and what was handled when it was raised are looked at too; other processes' and C++'s
        by their words.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        known = isinstance(error, OSError) and error.errno in _GONE
        said = next((s for code in _GONE if (s := os.strerror(code)) in str(error)), "")
        if known or said:
            return _sentence(error, said)
        error = error.__cause__ or error.__context__
    return ""


def _sentence(error: BaseException, said: str) -> str:
    file = error.filename if isinstance(error, OSError) else None
    at = _mount_of(str(file)) if file else ""
    return (
        f"{file or 'a mounted folder'} cannot be reached ({said or os.strerror(error.errno)}): what is "
        f"mounted {f'at {at} ' if at else ''}does not answer any more. Mount it anew "
        f"(`umount --lazy {at or 'FOLDER'}`, then as before), and run again: what had finished is used"
    )


def _mount_of(file: str) -> str:
    """The mount that a file is below; its own path is looked at and not asked for, as that would fail."""
    try:
        lines = _TABLE.read_text().splitlines()
    except OSError:  # another system than Linux
        return ""
    places = (_unescaped(line.split()[1]) for line in lines)
    within = [place for place in places if f"{os.path.abspath(file)}/".startswith(f"{place.rstrip('/')}/")]
    return max(within, key=len, default="")


def _unescaped(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place)
