"""`mtl run --span last --catch-up`: what a schedule missed comes before what it starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from pipeline.ingest.errors import DataError
from pipeline.only_one import only_one
from pipeline.private import key_id
from pipeline.recipe import Recipe
from pipeline.recipe.remote import remote_patterns
from pipeline.remote_files import local_files
from pipeline.spans.missed import having_rows, may_be_missed

_GOES_ON = (0, 3, 4)  # exit codes after which the next span is run: whatever else broke may break it too


def missed(recipe: Recipe, recipe_file: Path, input_dir: Path, home: Path, span: str) -> list[str]:
    """The spans to run before `span`, in order: no run of theirs came to an end, and the log has their rows.
    Where the log cannot be read there are none, and the run of `span` says so.

    Raises:
      RecipeError: there is no key for its private columns.
      Busy: another run is at work there.
    """
    names = may_be_missed(recipe, home, span)
    key = key_id(recipe, recipe_file)
    if not names:
        return []
    try:
        with contextlib.ExitStack() as stack:
            if remote_patterns(recipe):  # whose copies are of one process at a time
                stack.enter_context(only_one(home, "run"))
            folder = stack.enter_context(local_files(recipe, input_dir, home))
            return having_rows(recipe, key, folder, home, names)
    except DataError:
        return []


def in_order(names: list[str], span: str, run: Callable[[str], int]) -> int:
    """Runs the missed spans, then `span`. Data that cannot be used hold up their own span alone; after anything
    else that broke the rest is left to the next start.

    Returns:
      The exit code of the last that ran; where that is none of a failure, of the last whose data could not be
      used.
    """
    unusable = 0
    for name in names:
        code = run(name)
        if code not in _GOES_ON:
            return code
        unusable = code if code == 4 else unusable
    code = run(span)
    return unusable if unusable and code in (0, 3) else code
