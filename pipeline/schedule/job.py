"""What is to be run, wherever: the command, when, and what it needs of its surroundings."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.private import private_columns
from pipeline.recipe import Recipe
from pipeline.schedule.times import Times
from pipeline.spans.calendar import LAST
from serving.private import VARIABLE

REFUSED, BAD_RECIPE, BAD_DATA = 3, 2, 4  # exit codes of `mtl run`; again, these three would end alike
# for sh, before the name and the arguments of `mtl`
NO_FAILURE = f'mtl "$@"; code=$?; [ "$code" -eq {REFUSED} ] && exit 0; exit "$code"'


def usual_time(recipe: Recipe) -> str:
    """When a recipe runs if nobody says: once a span, a while after it is over."""
    return "10 * * * *" if recipe.spans is not None and recipe.spans.by == "hour" else "0 2 * * *"


@dataclass(frozen=True)
class Job:
    """A recipe that is run at times.

    Attributes:
      recipe: what runs; its name names files and objects.
      file: the recipe's file, absolute.
      input_dir, output: as of `mtl run`, absolute.
      settings: `KEY=VALUE` that override the recipe's.
      times: when.
    """

    recipe: Recipe
    file: Path
    input_dir: Path
    output: Path
    settings: tuple[str, ...]
    times: Times

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def python(self) -> str:
        """The one that runs now, with everything installed."""
        return sys.executable

    def arguments(self, file: str = "", input_dir: str = "", output: str = "", span: str = LAST) -> list[str]:
        """Of `mtl`; with paths as they are where it runs, if they differ. A recipe of spans runs one: the newest
        that is over where left out, and those before it that were missed."""
        found = ["run", file or str(self.file), "--input", input_dir or str(self.input_dir)]
        found += ["--output", output or str(self.output)]
        if self.recipe.spans is not None:
            found += ["--span", span, "--catch-up"]
        return found + [part for setting in self.settings for part in ("--set", setting)]

    @property
    def command(self) -> str:
        """For a shell on this machine."""
        return shlex.join([self.python, "-m", "pipeline", *self.arguments()])

    @property
    def secrets(self) -> list[str]:
        """Environment variables that it needs, and that must not stand in any file here."""
        found = [VARIABLE] if private_columns(self.recipe) else []
        return found + ([self.recipe.notify.webhook] if self.recipe.notify else [])
