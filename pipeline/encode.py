"""`mtl encode`: the vectors of a recipe's pictures and texts, without the rest of a run."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline import terminal
from pipeline.job_service import check_job_service
from pipeline.recipe import load
from pipeline.remote_files import files_for_once
from pipeline.scratch import scratch
from serving.interrupts import not_lost

INTERRUPTED = 130


class CannotEncode(Exception):
    """The recipe has nothing to encode, the output cannot be written, or a package is not installed."""


def run(recipe_file: Path, input_dir: Path, output: Path, settings: Sequence[str] = ()) -> int:
    """Encodes, tells how far it is and what came of it, and returns the exit code: 0, or 130 after Ctrl-C.

    Raises:
      RecipeError: the recipe is wrong, or there is no job service where it says.
      CannotEncode: see there.
      DataError: as `content_encoders.encode`.
    """
    recipe = load(recipe_file, settings)
    if not any(feature.kind in ("vision", "text") for feature in recipe.features.values()):
        raise CannotEncode(f"{recipe_file} has no feature of kind vision or text; there is nothing to encode")
    check_job_service(recipe, recipe_file)
    home = output.resolve() / recipe.name
    try:
        (home / "content").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotEncode(f"--output: {home} cannot be written: {error.strerror}") from None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with (
        scratch(home),
        terminal.chatter_to(home / "content" / "log.txt") as console,
        terminal.Steps(console) as steps,
    ):
        begin = time.perf_counter()
        steps.start("encoding", 0, 0)
        with not_lost():
            from pipeline.content_encoders import encode
            from pipeline.content_encoders.errors import NeedsExtra

        try:
            with files_for_once(recipe, input_dir) as files:
                tables = encode(recipe, files, home, steps.move)
        except NeedsExtra as error:
            raise CannotEncode(str(error)) from None
        except KeyboardInterrupt:
            console.print(
                "stopped; the vectors made so far are kept, and the same command goes on", markup=False
            )
            return INTERRUPTED
        steps.end("encoding", time.perf_counter() - begin, "")
        for name, table in tables.items():
            counts = table.counts
            absent = ", ".join(f"{n:,} {reason}" for reason, n in counts["reasons"].items())
            console.print(
                f"{name}: {counts['vectors']:,} of {counts['items']:,} items have a vector of "
                f"{table.dimension}"
                f"{f' ({absent})' if absent else ''}; {counts['encoded']:,} contents were new",
                markup=False,
            )
            console.print(f"   {terminal.shown(table.path)}", markup=False)
    return 0
