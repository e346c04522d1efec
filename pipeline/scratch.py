"""Temporary files below the output, which go when their command ends or, if it was killed, when the next begins.

TFX, Beam, TensorFlow Transform and AutoGraph make folders and files where `tempfile` says, and leave some of them.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME, _LOCK = ".scratch-", ".lock"


@contextlib.contextmanager
def scratch(place: Path) -> Iterator[None]:
    """Has this process, and those it starts, make their temporary files in a new folder below `place`.

    The folder is deleted at the end, and at the beginning those there that no living process holds.

    Raises:
      OSError: nothing can be written there.
    """
    for folder in abandoned(place):
        shutil.rmtree(folder, ignore_errors=True)
    before, named = tempfile.tempdir, os.environ.get("TMPDIR")
    with contextlib.ExitStack() as stack:
        folder = _held(place, stack)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)  # threads of a step may still write there
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
            if named is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = named


def abandoned(place: Path) -> list[Path]:
    """The folders of `scratch` there whose process has ended without deleting them."""
    return sorted(lock.parent for lock in place.glob(f"{_NAME}*/{_LOCK}") if not _is_held(lock))


def _held(place: Path, stack: contextlib.ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=_NAME, dir=place.resolve()))
    unnamed = folder / f"{_LOCK}.partial"  # whoever sees the lock sees it held, while this process lives
    file = stack.enter_context(unnamed.open("w"))
    fcntl.flock(file, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)
    return folder


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # deleted meanwhile, or another's
        return lock.exists()
    return False
