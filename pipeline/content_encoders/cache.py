"""Vectors that were made, by encoder and content: Parquet shards that only ever grow in number.

A shard is written under a name of its own and renamed when whole, so that runs at once never see half of one;
that two of them make the same vector costs time and changes nothing. An encoder's folder is named by its
digest.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.content_encoders.fetch import DIGEST_BYTES

DIGEST = pa.binary(DIGEST_BYTES)


class VectorCache:
    """The vectors of one encoder.

    Args:
      content_dir: of the recommender.
      encoder_digest: names the encoder's folder.
      dimension: of a vector.
      work_dir: on the same disk, for shards that are not whole yet.
    """

    def __init__(self, content_dir: Path, encoder_digest: str, dimension: int, work_dir: Path):
        self._work_dir = work_dir
        self.folder = content_dir / "vectors" / encoder_digest
        self.schema = pa.schema(
            {
                "content": DIGEST,
                "vector": pa.list_(pa.float32(), dimension),
                "reason": pa.string(),
            }
        )

    def shards(self) -> list[Path]:
        """Those that are whole."""
        return sorted(self.folder.glob("*.parquet"))

    def known(self) -> pa.ChunkedArray:
        """Digests of all content that has a vector, or a reason for having none; some of them twice."""
        parts = [pq.read_table(shard, columns=["content"])["content"] for shard in self.shards()]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], DIGEST)

    def read(self) -> Iterator[pa.Table]:
        """Every shard."""
        for shard in self.shards():
            yield pq.read_table(shard)

    def write(self, digests: list[bytes], vectors: np.ndarray, reasons: list[str | None]) -> None:
        """Adds a shard.

        Args:
          digests: of contents.
          vectors: float32 `[n, dimension]`; of no meaning where there is a reason.
          reasons: why there is no vector; None where there is one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        # without nulls, which Arrow cannot write to Parquet in lists of one length
        listed = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = pa.table(
            [pa.array(digests, DIGEST), listed, pa.array(reasons, pa.string())], schema=self.schema
        )
        name = f"{uuid.uuid4().hex}.parquet"
        part = self._work_dir / name
        # vectors hardly compress, and codecs cost more than the disk they save
        pq.write_table(table, part, compression="none", use_dictionary=False, write_statistics=False)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.rename(part, self.folder / name)
