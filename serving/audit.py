"""The audit log of a served folder: a JSON line for each change of what serves, only ever appended to.

`FOLDER/audit.jsonl` has in each line `at` (UTC), `who` (the operating system's user), `what` (push, promote
or rollback), `from` and `to` (versions; `from` is null at the first), `model_of` (the version that `to` is
a copy of, or itself) and `why`. A line is written, and on disk, before the pointer moves: a process killed
between the two leaves a line whose change never took place, which the next line's `from` shows.
"""

import datetime
import json
import os
import pwd
from pathlib import Path
from typing import Any

LOG = "audit.jsonl"


def append(folder: Path, what: str, before: int | None, to: int, model_of: int, why: str) -> None:
    """Adds a line and waits until it is on disk."""
    line = json.dumps(
        {
            "at": now(),
            "who": _user(),
            "what": what,
            "from": before,
            "to": to,
            "model_of": model_of,
            "why": why,
        },
        ensure_ascii=False,
    )
    handle = os.open(folder / LOG, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        cut_off = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # by a kill or a full disk
        os.write(handle, ("\n" * cut_off + line + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def entries(folder: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The log's entries, oldest first, and the numbers (from 1) of lines that are not one, such as a line
    that was cut off."""
    path = folder / LOG
    found, unreadable = [], []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    # not splitlines, which splits at U+2028 too: a reason may have that
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("to"), int) and "from" in entry:
            found.append(entry)
        else:
            unreadable.append(number)
    return found, unreadable


def now() -> str:
    """The time as logs have it: ISO 8601, UTC, seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user often has no name
        return f"uid {os.getuid()}"
