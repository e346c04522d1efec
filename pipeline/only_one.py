"""One process at a time in a folder."""

import contextlib
import datetime
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

LOCK = ".lock"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PATIENCE = 1.0  # seconds; `mtl runs gc` holds a folder for less


class Busy(Exception):
    """Another process is at work in the folder."""


@contextlib.contextmanager
def only_one(home: Path, what: str, cut_off: Callable[[str], None] = lambda said: None) -> Iterator[None]:
    """Holds a folder for this process.

    The lock is the kernel's, which lets go of it when the process ends, however it ends, or the machine does.
    The file only says who holds it, and is emptied at the end: what stands there when the lock is free is of
    one that was killed, and stops nobody.

    Args:
      home: it exists.
      what: is at work there, for the message, such as "run".
      cut_off: told, in words, of one before that was killed.

    Raises:
      Busy: another holds it.
    """
    with (home / LOCK).open("a+", encoding="utf-8") as file:
        _take(file, home, what)
        before = _holder(file)
        if before:
            cut_off(f"{_named(before)} was killed before its end; what it had finished is used")
        file.seek(0)
        file.truncate(0)
        file.write(json.dumps({"what": what, **_here()}))
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate(0)


def is_busy(home: Path) -> bool:
    """Whether a process is at work in a folder now; it is not kept from it by this."""
    try:
        file = (home / LOCK).open("r", encoding="utf-8")
    except OSError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _take(file: TextIO, home: Path, what: str) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < until:
                time.sleep(0.05)
                continue
            raise Busy(_busy(_holder(file), home, what)) from None


def _busy(holder: dict, home: Path, what: str) -> str:
    if not holder:
        return f"another {what} is at work in {home}; wait for it, or give another --output"
    here = _here()
    if (holder["host"], holder["boot"]) == (here["host"], here["boot"]) and not _lives(holder):
        return (
            f"{_named(holder)} has ended, and a process that it began still holds {home}: "
            f"`fuser {home / LOCK}` names it; end it, or give another --output"
        )
    return f"another {_named(holder)} is at work in {home}; wait for it, or give another --output"


def _holder(file: TextIO) -> dict:
    """What the file says; empty where it says nothing, or something else."""
    file.seek(0)
    try:
        found = json.loads(file.read())
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"what", *_here()} <= found.keys() else {}


def _here() -> dict:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": _BOOT.read_text().strip() if _BOOT.is_file() else "",
        "begun": _begun(os.getpid()),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _named(holder: dict) -> str:
    elsewhere = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
    return f"{holder['what']} (process {holder['pid']}{elsewhere}, since {holder['since']})"


def _lives(holder: dict) -> bool:
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _begun(holder["pid"]) == holder["begun"]  # another process may have its number by now


def _begun(pid: int) -> str:
    """When a process began, as the system counts; empty where it does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
