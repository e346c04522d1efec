"""One process at a time in a folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Busy(Exception):
    """Another process is at work in the folder."""


@contextlib.contextmanager
def only_one(home: Path, what: str) -> Iterator[None]:
    """Holds a folder for this process.

    Args:
      home: it exists.
      what: is at work there, for the message, such as "run".

    Raises:
      Busy: another holds it.
    """
    # the kernel lets go of it when the process ends, however it ends
    with (home / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise Busy(
                f"another {what} (process {file.read().strip() or 'unknown'}) is at work in {home}; "
                "wait for it, or give another --output"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
