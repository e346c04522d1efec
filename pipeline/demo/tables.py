"""The Arrow form of the log and of the propensities beside it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.demo import words
from pipeline.demo.impressions import Block
from pipeline.demo.labels import Labels
from pipeline.demo.truth import Propensities
from pipeline.demo.world import World


def _names(values: np.ndarray | tuple[str, ...], codes: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(codes))


def impression_table(
    world: World, shown: Block, labels: Labels, first_row: int, first_request: int
) -> pa.Table:
    """The log's columns. `purchase` and `watch_seconds` are null where there was no click.

    Args:
      first_row: `impression_id` of the block's first row.
      first_request: `request_id` of the first request of the block's day.
    """
    unknown = ~labels.click
    return pa.table(
        {
            "impression_id": pa.array(np.arange(first_row, first_row + len(shown.user))),
            "request_id": pa.array(first_request + shown.request),
            "user_id": _names(world.users.ids, shown.user),
            "item_id": _names(world.items.ids, shown.item),
            "timestamp": pa.array(shown.time_ms),
            "position": pa.array(shown.position),
            "hour": pa.array(shown.hour),
            "device": _names(words.DEVICES, shown.device),
            "surface": _names(words.SURFACES, shown.surface),
            "click": pa.array(labels.click.astype(np.int64)),
            "like": pa.array(labels.like.astype(np.int64)),
            "watch_seconds": pa.array(labels.watch_seconds.astype(np.float32), mask=unknown),
            "purchase": pa.array(labels.purchase.astype(np.int64), mask=unknown),
        }
    )


def propensity_table(chance: Propensities, first_row: int) -> pa.Table:
    """True chances, float32, by `impression_id`; `p_purchase` and `watch_seconds` are given a click."""
    return pa.table(
        {
            "impression_id": pa.array(np.arange(first_row, first_row + len(chance.click))),
            "p_click": pa.array(chance.click.astype(np.float32)),
            "p_like": pa.array(chance.like.astype(np.float32)),
            "p_purchase": pa.array(chance.purchase.astype(np.float32)),
            "watch_seconds": pa.array(chance.watch_seconds.astype(np.float32)),
        }
    )


def write_table(path: Path, table: pa.Table) -> None:
    """Writes one Parquet file that appears under its name only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)
