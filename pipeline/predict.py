"""`mtl predict --recipe`: logs through a pushed model, on Beam, into a folder of Parquet files."""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline import disk, terminal
from pipeline.job_service import check_job_service
from pipeline.only_one import LOCK, only_one
from pipeline.private import key_id
from pipeline.recipe import Recipe, load
from pipeline.remote_files import files_for_once
from pipeline.scratch import scratch
from serving.versions import record, saved_model

if TYPE_CHECKING:
    from pipeline.ingest.counts import Counts
    from pipeline.scoring.rows import RowsToScore

SCORES, ABOUT = "scores", "scores.json"
_CARD = Path("assets.extra", "model_card.json")


class CannotScore(Exception):
    """There is no model or no room for what it says, or the model and the recipe do not fit; in words."""


def predict(
    recipe_file: Path, model: Path | None, source: Path, output: Path, settings: Sequence[str] = ()
) -> int:
    """Scores every row of a log, and returns how many there were.

    `output` appears whole, once all is done: `scores/part-<i>-of-<n>.parquet` with the key columns (roles,
    and those that make a row unique), a column an output of the model, named as it is (`predicted_<output>`
    where a key has that name); `scores.json`, `counts.json`, `dead_letters.jsonl` and `log.txt`. Until then,
    and where it fails, what there is is in `<output>.part`, without scores. What the files hold depends on
    recipe, model and data alone; rows are in the order of their ids, which is as good as random.

    Args:
      recipe_file: how the rows are read: as in a run, but without labels and splits, and what breaks a
        column's rules is scored all the same, as by a server.
      model: a SavedModel, or a folder of versions, of which the one that serves is taken; where None, the
        one that `mtl run` pushes to below `output`, the folder.
      source: the folder that the recipe's files are below, or one file in place of the log's.
      output: a folder that is not there, or empty.
      settings: of the recipe, `key=value`.

    Raises:
      RecipeError: the recipe is wrong, there is no key for its private columns, or no job service where it
        says.
      CannotScore: see there.
      DataError: the rows cannot be used.
      Busy: another process writes there.
      NoRoom: the disk is full.
    """
    try:
        return _predict(recipe_file, model, source, output, settings)
    except Exception as error:
        said = disk.full(error, output.absolute().parent, f"run again: {output} appears whole")
        if said:
            raise disk.NoRoom(said) from error
        raise


def _predict(
    recipe_file: Path, model: Path | None, source: Path, output: Path, settings: Sequence[str]
) -> int:
    recipe = load(recipe_file, settings)
    folder = model or Path("output", recipe.name, "serving")
    try:
        found = saved_model(folder).resolve()
    except ValueError as error:
        hint = "" if model else "; --model names a model elsewhere"
        raise CannotScore(f"--model: {error}{hint}") from None
    _check_key(key_id(recipe, recipe_file), found)
    check_job_service(recipe, recipe_file)
    part = _part(output)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with only_one(part, "predict"):
        _part(output)  # another may have made it while this one waited
        _clear(part)
        with scratch(part), terminal.chatter_to(part / "log.txt") as console:
            try:
                console.print(
                    f"{recipe.name}: scoring by {terminal.shown(found)} into {output}", markup=False
                )
                # a file is in place of the log, and what it needs is beside it
                once = files_for_once(recipe, source) if source.is_dir() else nullcontext(source)
                with once as files:
                    about = _score(console, recipe, found, files, part)
            except Exception as error:
                shutil.rmtree(part / SCORES, ignore_errors=True)
                if type(error).__name__ not in ("CannotScore", "DataError"):
                    traceback.print_exc()
                    console.print(f"log:     {terminal.shown(part / 'log.txt')}", markup=False)
                raise
            finally:
                shutil.rmtree(part / ".work", ignore_errors=True)
            (part / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
        _sync(part)
        os.rename(part, output)
        (output / LOCK).unlink()
    return about["rows"]["scored"]


def _check_key(key: str, model: Path) -> None:
    card = _card(model)
    if key and card.get("private_key_id", key) != key:
        raise CannotScore(
            f"the key in the environment (id {key}) is not the one that the ids in {model} were hashed with "
            f"(id {card['private_key_id']}): none of them would be known"
        )


def _card(model: Path) -> dict[str, Any]:
    path = model / _CARD
    return json.loads(path.read_text()) if path.is_file() else {}


def _part(output: Path) -> Path:
    """The folder beside, where all is made; it is there."""
    try:
        if output.is_dir() and any(output.iterdir()):
            raise CannotScore(
                f"--output: {output} is there and not empty; give a folder that is not there, or remove it"
            )
        if output.exists() and not output.is_dir():
            raise CannotScore(f"--output: {output} is a file; the scores are a folder of files")
        part = output.absolute().with_name(f"{output.absolute().name}.part")
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotScore(f"--output: {output} cannot be written: {error.strerror}") from None
    return part


def _clear(part: Path) -> None:
    """What a run before, that failed or was killed, left there."""
    for path in part.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _score(console: Console, recipe: Recipe, model: Path, source: Path, part: Path) -> dict[str, Any]:
    from pipeline.beam_pipeline import beam_pipeline
    from pipeline.ingest.run import ingest
    from pipeline.scoring.model import takes
    from pipeline.scoring.rows import SPLIT, log_and_folder, rows_to_score

    try:
        taken = takes(recipe, model)
    except ValueError as error:
        raise CannotScore(f"--model: {error}") from None
    log, input_dir = log_and_folder(recipe, source, taken.inputs)
    rows = rows_to_score(recipe, log, input_dir, taken.inputs)
    for name, why in rows.missing.items():
        console.print(f"note: {name} is missing in every row: {why}", markup=False)
    with terminal.Steps(console) as steps:
        begin = time.perf_counter()
        steps.start("reading", 1, 2)
        examples = part / ".work" / "examples"
        examples.mkdir(parents=True)
        counts = ingest(
            rows.recipe,
            input_dir,
            examples,
            beam_pipeline(recipe),
            dead_dir=part,
            progress=lambda done: steps.move(f"{done:,} rows", None),
            for_training=False,
        )
        counts.write(part / "counts.json")
        steps.end("reading", time.perf_counter() - begin, _told(counts))
        begin = time.perf_counter()
        steps.start("scoring", 2, 2)
        from pipeline.examples import shards
        from pipeline.moves import watch
        from pipeline.scoring.score import Scoring, score

        columns = {o: f"predicted_{o}" if o in rows.keys else o for o in taken.outputs}
        moves = part / ".work" / "moves"
        scoring = Scoring(str(model), rows.keys, columns, part / SCORES, moves)
        scoring.folder.mkdir()
        total = counts.rows_written
        with watch(moves, "scoring", total, steps.move):
            score(beam_pipeline(recipe), scoring, shards(examples, SPLIT))
        steps.end("scoring", time.perf_counter() - begin, f"{total:,} rows")
    return _about(recipe, model, rows, columns, counts)


def _told(counts: Counts) -> str:
    dropped = "".join(f", {rows:,} dropped ({why})" for why, rows in sorted(counts.dropped.items()))
    dead = f", {counts.rows_dead:,} dead (`mtl data explain` says why)" if counts.rows_dead else ""
    return f"{counts.read:,} rows{dropped}{dead}"


def _about(
    recipe: Recipe, model: Path, rows: RowsToScore, columns: dict[str, str], counts: Counts
) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "model": str(model),
        "version": record(model).get("version"),
        "model_recipe_sha256": _card(model).get("recipe_sha256"),
        "keys": list(rows.keys),
        "outputs": columns,
        "missing": rows.missing,
        "rows": {
            "read": counts.read,
            "scored": counts.rows_written,
            "dropped": counts.rows_dropped,
            "dead": counts.rows_dead,
        },
    }


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
