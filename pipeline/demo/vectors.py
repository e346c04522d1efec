"""What an encoder that is not the demo's own says of its items: a vector each."""

from pathlib import Path

import numpy as np

from pipeline.demo import words
from pipeline.demo.catalogs import CONTENT_DIMENSIONS, Items
from pipeline.demo.draws import Stream, generator

DIMENSION = 16
_CATEGORY, _NOISE = 0.7, 0.1


def item_vectors(seed: int, items: Items, other: bool) -> np.ndarray:
    """float32 `[items, DIMENSION]`: content and category, each in directions of the encoder's own, about a
    mean that is not 0, as real ones have.

    Args:
      seed: of the world.
      items: theirs.
      other: as another encoder makes them: of as many numbers, which mean something else.
    """
    rng = generator(seed, Stream.VECTORS)
    for _ in range(2 if other else 1):
        content = rng.normal(size=(CONTENT_DIMENSIONS, DIMENSION))
        category = rng.normal(size=(len(words.CATEGORY_NAMES), DIMENSION))
        mean, noise = rng.normal(size=DIMENSION), rng.normal(size=(len(items.ids), DIMENSION))
    found = mean + items.content @ content + _CATEGORY * category[items.category] + _NOISE * noise
    return found.astype(np.float32)


def write_vectors(path: Path, ids: np.ndarray, vectors: np.ndarray) -> None:
    """Writes a Parquet file of `item_id` and `look`, a list of float32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(vectors.ravel())
    lists = pa.ListArray.from_arrays(np.arange(len(ids) + 1, dtype=np.int32) * vectors.shape[1], flat)
    pq.write_table(pa.table({"item_id": pa.array(ids, pa.string()), "look": lists}), path, compression="zstd")
