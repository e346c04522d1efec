"""What a person sees of a run: steps and bars on a terminal, plain lines in a pipe.

Everything else that prints (TensorFlow and Beam, also from C++) goes to the run's log file.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.spinner import Spinner

from pipeline.disk import NO_ROOM

# Of rich's live displays: they would put what others print, logging too, on the terminal above the bar.
TO_THE_LOG = {"redirect_stdout": False, "redirect_stderr": False}


class _Log(io.FileIO):
    """A log's file. On a full disk, or beyond a limit on files, a line is lost, and not the run: what failed
    is told elsewhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return len(data)


@contextlib.contextmanager
def chatter_to(log: Path) -> Iterator[Console]:
    """Sends file descriptors 1 and 2 to `log` and gives a console that still reaches the terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    python_streams = sys.stdout, sys.stderr
    with (
        log.open("ab", buffering=0) as file,
        os.fdopen(os.dup(1), "w", encoding="utf-8") as out,
        io.TextIOWrapper(
            io.BufferedWriter(_Log(os.dup(file.fileno()), "w")), encoding="utf-8", line_buffering=True
        ) as text,
    ):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = text
        try:
            yield Console(file=out, highlight=False, soft_wrap=not out.isatty())
        finally:
            sys.stdout, sys.stderr = python_streams
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for handle in saved:
                os.close(handle)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what is written to file descriptor 2: TensorFlow greets from C++ whatever its log level."""
    sys.stderr.flush()
    saved, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)


def shown(path: Path) -> str:
    """A path as it is told: from the current folder on, where it is below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def waiting(console: Console, text: str) -> Live:
    """A spinner beside a text, on a terminal alone, for as long as it is entered."""
    return Live(Spinner("dots", text), console=console, transient=True, **TO_THE_LOG)


class Steps:
    """Shows the steps of a run as they start, move and end."""

    def __init__(self, console: Console):
        self._console = console
        self._bars: Progress | None = None
        self._task = None
        self._count = ""
        self._told = 0.0
        if console.is_terminal:
            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[at]}"),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                **TO_THE_LOG,
            )

    def __enter__(self) -> "Steps":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def start(self, name: str, place: int, count: int) -> None:
        self._count, self._told = f"[{place:2}/{count}]" if count else "       ", time.monotonic()
        if self._bars:
            self._clear()
            self._task = self._bars.add_task(
                f"{self._count.replace('[', chr(92) + '[')} {name}", total=None, at=""
            )
        else:
            self._say(f"{self._count} {name} ...")

    def move(self, text: str, share: float | None) -> None:
        if self._bars and self._task is not None:
            self._bars.update(
                self._task, at=text, total=None if share is None else 1.0, completed=share or 0.0
            )
        elif not self._bars and time.monotonic() - self._told > 10:  # a log wants few lines
            self._told = time.monotonic()
            self._say(f"      {text}")

    def end(self, name: str, seconds: float, note: str) -> None:
        self._clear()
        self._say(f"{self._count} {name} {seconds:.1f} s{f' ({note})' if note else ''}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _clear(self) -> None:
        if self._bars and self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
