"""How far reading is, whichever processes do it: each leaves its number of rows in a file of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.ingest.plan import LOG, Piece, Plan
from pipeline.ingest.read_stage import piece_path

SECONDS = 1.0


@contextmanager
def watch(plan: Plan, work: list[Piece], tell: Callable[[int], None] | None) -> Iterator[None]:
    """Within it, `tell` hears the rows read so far, whenever there are more."""
    if tell is None:
        yield
        return
    ended = threading.Event()

    def look() -> None:
        told = 0
        while not ended.wait(SECONDS):
            rows = sum(_rows(plan, piece) for piece in work if piece.source == LOG)
            if rows > told:
                tell(rows)
                told = rows

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _rows(plan: Plan, piece: Piece) -> int:
    try:
        with open(f"{piece_path(plan.work_dir, piece)}.progress") as file:
            return int(file.read() or 0)  # empty while it is being written
    except FileNotFoundError:
        return 0
