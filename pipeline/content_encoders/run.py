"""The vectors of a recipe's pictures and texts: the new are encoded, those known are taken from the cache."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam_pipeline import beam_pipeline
from pipeline.content_encoders.cache import VectorCache
from pipeline.content_encoders.infer import ERROR, Work, add_encoding
from pipeline.content_encoders.located import Located, locate
from pipeline.content_encoders.look import Look, looked_path
from pipeline.content_encoders.references import open_shard, write_references
from pipeline.content_encoders.tables import COUNTS, NO_CONTENT, Looked, drop_old, write_table
from pipeline.ingest.errors import DataError
from pipeline.moves import Tell, watch
from pipeline.recipe.model import Recipe

CONTENT = "content"
_KINDS = {"vision": "image", "text": "text"}
_NEAR = 16  # shards of texts are sorted by length in groups of this many, so that a batch has texts alike


@dataclass(frozen=True)
class EncodedTable:
    """A feature's vectors.

    Attributes:
      path: folder of Parquet shards with `key`, `vector` and `reason`.
      dimension: of a vector.
      encoder_digest: of the encoder with its preprocessing.
      encoder_version: what the encoder says of itself.
      counts: `items` = `vectors` + `absent`; `reasons` → items, summing to `absent`; `contents`, those of all
        items, and `contents_failed`, reason → how many of them; `encoded`: distinct contents that were new to
        the encoder.
    """

    path: Path
    dimension: int
    encoder_digest: str
    encoder_version: str
    counts: dict[str, Any]


def encode(
    recipe: Recipe, input_dir: Path, home: Path, progress: Tell | None = None
) -> dict[str, EncodedTable]:
    """Makes the table of vectors of each feature of kind `vision` or `text`.

    A content is encoded once per encoder: its vector is kept below `home/content/vectors/<encoder>`, in
    shards that are added while the work goes on, so that a run that was killed is gone on with. Runs at once
    are safe. Tables are below `home/content/tables`, named by what they hold.

    Args:
      recipe: with `encoders`; `beam` says how many workers there are. They must see both folders.
      input_dir: what the recipe's paths, and relative paths of pictures, are below.
      home: the recommender's folder, `OUTPUT/<name>`.
      progress: told how far it is, and the share done, from another thread.

    Returns:
      Feature → its table.

    Raises:
      DataError: content or an encoder cannot be used, or more items fail than `content.max_failed_share`
        allows; their tables are written all the same.
      NeedsExtra: an encoder needs a package that is not installed.
    """
    input_dir, content_dir = Path(input_dir).resolve(), Path(home).resolve() / CONTENT
    features = [name for name, feature in recipe.features.items() if feature.kind in _KINDS]
    used = list(dict.fromkeys(recipe.features[name].encoder for name in features))
    encoders = {name: locate(name, recipe.encoders[name], input_dir, content_dir) for name in used}
    for name in features:
        _check_kind(recipe, name, encoders[recipe.features[name].encoder])
    tables: dict[str, EncodedTable] = {}
    with _work_dir(content_dir) as work_dir:
        shards = {name: write_references(recipe, name, input_dir, work_dir) for name in features}
        _look(recipe, shards, input_dir, work_dir, progress)
        looked = {name: Looked(found) for name, found in shards.items()}
        for encoder in encoders.values():
            group = [name for name in features if recipe.features[name].encoder == encoder.name]
            of_group = [shard for name in group for shard in shards[name]]
            cache = VectorCache(content_dir, encoder.digest, encoder.declared.dimension, work_dir)
            new = _encode_new(recipe, of_group, encoder, cache, input_dir, work_dir, progress)
            for name in group:
                tables[name] = _table(recipe, name, looked[name], encoder, cache, content_dir, work_dir, new)
    for name, table in tables.items():
        _judge(recipe, name, table)
    return tables


def _check_kind(recipe: Recipe, feature: str, encoder: Located) -> None:
    wanted = _KINDS[recipe.features[feature].kind]
    if encoder.declared.kind != wanted:
        raise DataError(
            f"features.{feature} is of kind {recipe.features[feature].kind}, and its encoder {encoder.name} "
            f"reads {encoder.declared.kind}s; an encoder of {wanted}s would be right"
        )


@contextlib.contextmanager
def _work_dir(content_dir: Path) -> Iterator[Path]:
    """A folder for this run alone, which also takes away those of runs that were killed."""
    content_dir.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    new, path = content_dir / f".new-{name}", content_dir / f".work-{name}"
    new.mkdir()
    # the kernel lets go of the lock when the process ends, however it ends
    with (new / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(path)  # locked by the time that others look for it
        for other in content_dir.glob(".work-*"):
            if other != path:
                _remove_if_left(other)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _remove_if_left(work_dir: Path) -> None:
    with contextlib.suppress(OSError), (work_dir / "lock").open("r") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its run is alive
        shutil.rmtree(work_dir, ignore_errors=True)


def _look(
    recipe: Recipe, shards: dict[str, list[Path]], input_dir: Path, work_dir: Path, progress: Tell | None
) -> None:
    """Takes the digest of every content."""
    moves = work_dir / "looked"
    everything = [str(shard) for found in shards.values() for shard in found]
    if not everything:
        return
    total = sum(open_shard(Path(shard)).num_rows for shard in everything)
    pipeline = beam_pipeline(recipe)
    (
        pipeline
        | "Shards" >> beam.Create(everything)
        | "Spread" >> beam.Reshuffle()
        | "Look" >> beam.ParDo(Look(input_dir, moves))
    )
    with watch(moves, "looking at content, items", total, progress):
        pipeline.run().wait_until_finish()


def _encode_new(
    recipe: Recipe,
    shards: list[Path],
    encoder: Located,
    cache: VectorCache,
    input_dir: Path,
    work_dir: Path,
    progress: Tell | None,
) -> int:
    """Encodes what the cache lacks, and says how many contents that was."""
    work, total = _work(shards, cache, encoder)
    if not total:
        return 0
    moves = work_dir / f"moves-{encoder.name}"
    pipeline = beam_pipeline(recipe)
    add_encoding(pipeline, work, encoder, input_dir, cache, work_dir, moves)
    with watch(moves, f"{encoder.name}: encoding", total, progress):
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            if (work_dir / ERROR).is_file():
                raise DataError((work_dir / ERROR).read_text()) from error
            raise
    return total


def _work(shards: list[Path], cache: VectorCache, encoder: Located) -> tuple[list[Work], int]:
    """Where each new content is first, in batches."""
    looked = [open_shard(looked_path(shard)) for shard in shards]
    sizes = [table.num_rows for table in looked]
    if not sum(sizes):
        return [], 0
    everything = pa.concat_tables(looked).append_column("row", pa.array(np.arange(sum(sizes))))
    new = everything.filter(
        pc.and_(everything["content"].is_valid(), pc.invert(pc.is_in(everything["content"], cache.known())))
    )
    first = new.group_by("content").aggregate([("row", "min"), ("size", "min")])
    rows, length = first["row_min"].to_numpy(), first["size_min"].to_numpy()
    bounds = np.cumsum([0, *sizes])
    shard = np.searchsorted(bounds, rows, side="right") - 1
    # a batch of texts is as wide as its longest
    order = (
        np.lexsort((rows, length, shard // _NEAR)) if encoder.declared.kind == "text" else np.argsort(rows)
    )
    work = []
    for start in range(0, len(order), encoder.batch_size):
        chosen = order[start : start + encoder.batch_size]
        batch: dict[str, list[int]] = {}
        for number, row in zip(shard[chosen].tolist(), rows[chosen].tolist()):
            batch.setdefault(str(shards[number]), []).append(row - int(bounds[number]))
        work.append(list(batch.items()))
    return work, len(rows)


def _table(
    recipe: Recipe,
    feature: str,
    looked: Looked,
    encoder: Located,
    cache: VectorCache,
    content_dir: Path,
    work_dir: Path,
    new: int,
) -> EncodedTable:
    pool = getattr(recipe.features[feature], "pool", "mean")
    folder = content_dir / "tables"
    path = folder / f"{feature}-{looked.name(encoder.digest, pool)}"
    _refuse_repeats(feature, looked.shards)
    write_table(looked, cache, encoder.declared.dimension, pool, path, work_dir)
    drop_old(folder, feature)
    counts = json.loads((path / COUNTS).read_text()) | {"encoded": new}
    declared = encoder.declared
    return EncodedTable(path, declared.dimension, encoder.digest, declared.version, counts)


def _refuse_repeats(feature: str, shards: list[Path]) -> None:
    keys = pa.chunked_array([chunk for s in shards for chunk in open_shard(s)["key"].chunks], pa.string())
    if pc.count_distinct(keys).as_py() < len(keys):
        counted = keys.value_counts()
        key = next(c["values"].as_py() for c in counted if c["counts"].as_py() > 1)
        raise DataError(
            f"features.{feature}: the key {key!r} is in its catalog more than once; an item has one vector, "
            "so a catalog whose rows change with time cannot have content"
        )


def _judge(recipe: Recipe, feature: str, table: EncodedTable) -> None:
    counts, allowed = table.counts, recipe.content.max_failed_share
    reasons = {reason: n for reason, n in counts["reasons"].items() if reason != NO_CONTENT}
    failed, having = sum(reasons.values()), counts["items"] - counts["reasons"].get(NO_CONTENT, 0)
    if failed > allowed * having:
        said = "; ".join(f"{n:,} × {reason}" for reason, n in list(reasons.items())[:5])
        raise DataError(
            f"features.{feature}: no vector can be made for {failed:,} of {having:,} items with content "
            f"({failed / having:.2%}), and content.max_failed_share allows {allowed:.2%}: {said}; each with "
            f"its reason is in {table.path}"
        )
