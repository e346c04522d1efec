"""Beam, first time over: the digest of every content, so that only new content is encoded."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

from pipeline.content_encoders.cache import DIGEST
from pipeline.content_encoders.errors import BadContent
from pipeline.content_encoders.fetch import content_digest, fetch
from pipeline.content_encoders.references import holds_paths, open_shard
from pipeline.moves import Moves

THREADS = 8  # most of the time a thread waits for a disk or a network
# one row a content, in the order of the shard's flattened lists
LOOKED = pa.schema({"content": DIGEST, "size": pa.int64(), "problem": pa.string()})


def looked_path(shard: Path) -> Path:
    """Where the digests of a shard are."""
    return shard.with_suffix(".looked")


class Look(beam.DoFn):
    """Path of a shard of references → beside it a file of `LOOKED`.

    Args:
      input_dir: that relative paths are below.
      moves_dir: gets how far it is.
    """

    def __init__(self, input_dir: Path, moves_dir: Path):
        self._input_dir, self._moves_dir = input_dir, moves_dir

    def setup(self) -> None:
        self._moves = Moves(self._moves_dir)

    def process(self, shard: str) -> None:
        table = open_shard(Path(shard))
        contents = table["contents"].combine_chunks().flatten()
        if holds_paths(table):
            places = list(dict.fromkeys(contents.to_pylist()))
            with ThreadPoolExecutor(THREADS) as threads:
                found = dict(zip(places, threads.map(self._look, places)))
            rows = [found[place] for place in contents.to_pylist()]
        else:
            rows = [(content_digest(v), len(v), None) for v in (scalar.as_py() for scalar in contents)]
        self._write(rows, looked_path(Path(shard)))
        self._moves.add(table.num_rows)

    def _look(self, place: bytes) -> tuple[bytes | None, int, str | None]:
        try:
            content = fetch(place.decode(errors="replace"), self._input_dir)
        except BadContent as error:
            return None, 0, str(error)
        return content_digest(content), len(content), None

    def _write(self, rows: list[tuple], path: Path) -> None:
        columns = list(zip(*rows)) or [(), (), ()]
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, LOOKED)], schema=LOOKED)
        part = f"{path}.{os.getpid()}"  # Beam may give a shard to a second worker
        with pa.OSFile(part, "wb") as sink, pa.ipc.new_file(sink, LOOKED) as writer:
            writer.write_table(table)
        os.replace(part, path)
