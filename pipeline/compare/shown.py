"""How far a comparison's training is: a bar over all models on a terminal, a line a model in a pipe."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.terminal import TO_THE_LOG


class Shown:
    """Called by training with how far it is (see `EpochRecorder`), between `start` and `end` of a model."""

    def __init__(self, console: Console, models: int):
        self.console, self.models, self.done = console, models, 0
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self.bars = Progress(*columns, console=console, transient=True, **TO_THE_LOG)
        self.bar = self.bars.add_task("", total=models)

    def __enter__(self) -> "Shown":
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def start(self, name: str, epochs: int, kept: bool) -> None:
        self.name, self.epochs, self.kept, self.best = name, epochs, kept, ""
        self.began = time.monotonic()
        self.bars.update(self.bar, description=name)

    def __call__(self, at: dict) -> None:
        self.bars.update(self.bar, description=f"{self.name}: epoch {at['epoch']} of at most {self.epochs}")
        if (entry := at.get("entry")) and entry["best"]:
            self.best = f", best epoch {at['epoch']}, objective {entry['objective']:.4f}"

    def end(self) -> None:
        self.done += 1
        self.bars.update(self.bar, completed=self.done)
        if not self.kept:
            seconds = time.monotonic() - self.began
            line = f"[{self.done}/{self.models}] {self.name}: {seconds:.1f} s{self.best}"
            self.console.print(line, markup=False)
