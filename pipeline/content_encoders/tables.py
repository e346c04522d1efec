"""Tables of vectors: one row an item, its vectors pooled, with the reason where it has none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.content_encoders.cache import VectorCache
from pipeline.content_encoders.look import looked_path
from pipeline.content_encoders.references import open_shard

FORM = 1  # of a table and its counts; part of its name
COUNTS = "_counts.json"  # what reads a folder of Parquet passes over names that begin so
NO_CONTENT = "no content"  # the reason of an item that has none: nothing failed
CHANGED = "changed while it was read"
_KEPT = 3  # tables a feature, the newest


class Looked:
    """What is known of a feature's contents once all were looked at.

    Attributes:
      shards: of references.
      contents: digests of all distinct contents.
    """

    def __init__(self, shards: list[Path]):
        self.shards = shards
        found = [open_shard(looked_path(shard))["content"].unique() for shard in shards]
        chunks = pa.chunked_array(found, pa.binary(16)) if found else pa.chunked_array([], pa.binary(16))
        self.contents = chunks.unique().drop_null()

    def name(self, encoder_digest: str, pool: str) -> str:
        """Digest of everything that a table holds."""
        digest = hashlib.blake2b(f"{FORM}\0{encoder_digest}\0{pool}\0".encode(), digest_size=12)
        for shard in self.shards:
            for path, columns in ((shard, ["key"]), (looked_path(shard), ["content", "problem"])):
                table = open_shard(path)
                for column in columns:
                    digest.update(repr(table[column].to_pylist()).encode())
            lengths = pc.fill_null(pc.list_value_length(open_shard(shard)["contents"]), 0)
            digest.update(lengths.to_numpy().tobytes())
        return digest.hexdigest()


def write_table(
    looked: Looked, cache: VectorCache, dimension: int, pool: str, path: Path, work_dir: Path
) -> None:
    """Writes a feature's table, unless it is there.

    Args:
      looked: its contents.
      cache: has all of them.
      dimension: of a vector.
      pool: `mean` or `max`, over an item's vectors.
      path: of the table's folder; it is there whole or not at all.
      work_dir: on the same disk, with room for the table and the vectors of all distinct contents.
    """
    if path.is_dir():
        os.utime(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = work_dir / uuid.uuid4().hex
    part.mkdir()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    vectors, why = _collected(looked, cache, dimension, work_dir)
    for number, shard in enumerate(looked.shards):
        table, failed = _pooled(shard, looked.contents, vectors, why, dimension, pool)
        pq.write_table(table, part / f"{number:06d}.parquet", compression="none", use_dictionary=["reason"])
        found = table["reason"].drop_null().to_pylist()
        reasons.update(found)
        counts.update(items=table.num_rows, vectors=table.num_rows - len(found), absent=len(found))
        counts.update(contents=failed.pop("contents", 0))
        counts.update({f"content: {reason}": n for reason, n in failed.items()})
    (part / COUNTS).write_text(json.dumps(_counts(counts, reasons), indent=1))
    _fsync(part)
    try:
        os.rename(part, path)
    except OSError:  # another run has made it meanwhile
        shutil.rmtree(part)


def _counts(counts: Counter[str], reasons: Counter[str]) -> dict[str, Any]:
    return {
        **{name: counts[name] for name in ("items", "vectors", "absent", "contents")},
        "reasons": dict(reasons.most_common()),
        "contents_failed": {
            name.removeprefix("content: "): n
            for name, n in counts.most_common()
            if name.startswith("content: ")
        },
    }


def _collected(
    looked: Looked, cache: VectorCache, dimension: int, work_dir: Path
) -> tuple[np.memmap, np.ndarray]:
    """Vectors of all distinct contents, on disk, `[contents, dimension]`, and why there is none (object).

    Shards of the cache are read once each, in any order, so that memory is that of one.
    """
    path = work_dir / f"{uuid.uuid4().hex}.vectors"
    shape = (max(len(looked.contents), 1), dimension)
    np.memmap(path, np.float32, "w+", shape=shape).flush()
    why = np.full(len(looked.contents), CHANGED, object)
    for shard in cache.read():
        places = pc.index_in(shard["content"], value_set=looked.contents)
        used = places.is_valid().to_numpy()
        if not used.any():
            continue
        at = places.drop_null().to_numpy()
        shard = shard.filter(pa.array(used))
        why[at] = shard["reason"].to_pylist()
        values = shard["vector"].combine_chunks().flatten().to_numpy()
        held = np.memmap(
            path, np.float32, "r+", shape=shape
        )  # anew each time: what is mapped counts as memory
        held[at] = values.reshape(-1, dimension)
        held.flush()
        del held
    return np.memmap(path, np.float32, "r", shape=shape), why


def _pooled(
    shard: Path, contents: pa.Array, vectors: np.ndarray, why: np.ndarray, dimension: int, pool: str
) -> tuple[pa.Table, Counter[str]]:
    """The rows of one shard of references, and how many of their contents failed, by reason."""
    references, looked = open_shard(shard), open_shard(looked_path(shard))
    rows = references.num_rows
    lengths = pc.fill_null(pc.list_value_length(references["contents"]), 0).to_numpy()
    owner = np.repeat(np.arange(rows), lengths)
    at = pc.fill_null(pc.index_in(looked["content"], value_set=contents), 0).to_numpy()
    # the problem of looking at it, then of encoding it
    reason = np.array(looked["problem"].to_pylist(), object)
    unseen = np.array([r is None for r in reason], bool)
    reason[unseen] = why[at[unseen]]
    good = np.array([r is None for r in reason], bool)
    sums = np.full((rows, dimension), 0.0 if pool == "mean" else -np.inf, np.float32)
    (np.add if pool == "mean" else np.maximum).at(sums, owner[good], np.asarray(vectors[at[good]]))
    number = np.bincount(owner[good], minlength=rows)
    absent = number == 0
    if pool == "mean":
        sums /= np.maximum(number, 1)[:, None].astype(np.float32)
    reasons: list[str | None] = [NO_CONTENT if lengths[i] == 0 else None for i in range(rows)]
    for i in np.flatnonzero(~good & absent[owner])[::-1]:  # of several, the first says why
        reasons[owner[i]] = reason[i]
    failed = Counter({"contents": len(owner)})
    failed.update(reason[~good].tolist())
    # Arrow cannot write nulls in lists of one length to Parquet
    bounds = np.append(0, np.cumsum(np.where(absent, 0, dimension))).astype(np.int32)
    listed = pa.ListArray.from_arrays(
        pa.array(bounds), pa.array(sums[~absent].reshape(-1)), mask=pa.array(absent)
    )
    table = pa.table({"key": references["key"], "vector": listed, "reason": pa.array(reasons, pa.string())})
    return table, failed


def drop_old(folder: Path, feature: str) -> None:
    """Removes a feature's tables but the newest few: each day's is whole."""
    tables = sorted(folder.glob(f"{feature}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in tables[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _fsync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
