"""How far the work is, whichever threads and processes do it: each leaves its count in a file of its own."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 1.0
Tell = Callable[[str, float | None], None]


class Moves:
    """One worker's count."""

    def __init__(self, folder: Path):
        self._path = folder / f"{uuid.uuid4().hex}.moves"
        self._count = 0

    def add(self, count: int) -> None:
        self._count += count
        self._path.write_text(str(self._count))


@contextmanager
def watch(folder: Path, what: str, total: int, tell: Tell | None) -> Iterator[None]:
    """Within it, `tell` hears about once a second, from another thread, how many of `total` are done.

    Args:
      folder: of the counts, made anew.
      what: is being done, such as "looking at pictures".
    """
    folder.mkdir()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS):
            done = sum(int(path.read_text() or 0) for path in folder.glob("*.moves"))
            tell(f"{what}: {done:,} of {total:,}", min(done / max(total, 1), 1.0))

    thread = threading.Thread(target=look, daemon=True) if tell is not None else None
    if thread is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread is not None:
            thread.join()
