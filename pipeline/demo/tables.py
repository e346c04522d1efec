"""The Arrow form of the logs and of the propensities beside them."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.demo import words
from pipeline.demo.catalogs import FIRST_DAY
from pipeline.demo.impressions import DAY_MS, MIDNIGHT_MS, Block
from pipeline.demo.labels import Labels
from pipeline.demo.orders import EVENTS, Orders
from pipeline.demo.truth import Propensities
from pipeline.demo.world import World


def _names(values: np.ndarray | tuple[str, ...], codes: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(codes))


def impression_table(
    world: World, shown: Block, labels: Labels, first_row: int, first_request: int
) -> pa.Table:
    """The log's columns. `watch_seconds` is null where there was no click.

    Args:
      first_row: `impression_id` of the block's first row.
      first_request: `request_id` of the first request of the block's day.
    """
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
            "watch_seconds": pa.array(labels.watch_seconds.astype(np.float32), mask=~labels.click),
        }
    )


def order_table(world: World, orders: Orders) -> pa.Table:
    """The checkout's columns; `amount` in euro is null of a cart."""
    bought = orders.pieces > 0
    return pa.table(
        {
            "event_id": pa.array(orders.event_id),
            "request_id": pa.array(orders.request),
            "user_id": _names(world.users.ids, orders.user),
            "item_id": _names(world.items.ids, orders.item),
            "event": _names(EVENTS, orders.event),
            "timestamp": pa.array(orders.time_ms),
            "amount": pa.array(np.round(world.items.price[orders.item] * orders.pieces, 2), mask=~bought),
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


class FilesByDay:
    """Parquet files, one a day of `timestamp` in UTC, each appended to as rows of its day come.

    A file appears under its name only once `close` says that its day is whole.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._writers: dict[int, pq.ParquetWriter] = {}

    def add(self, table: pa.Table) -> None:
        """Appends rows, each to its day's file."""
        day = (table["timestamp"].to_numpy() - MIDNIGHT_MS) // DAY_MS
        for number in np.unique(day).tolist():
            if number not in self._writers:
                self._folder.mkdir(parents=True, exist_ok=True)
                draft = self._path(number).with_suffix(".tmp")
                self._writers[number] = pq.ParquetWriter(draft, table.schema, compression="zstd")
            self._writers[number].write_table(table.filter(pa.array(day == number)))

    def close(self, before: int | None = None) -> None:
        """Finishes the files of days before one, counted from the log's first; all where left out."""
        for number in [n for n in self._writers if before is None or n < before]:
            self._writers.pop(number).close()
            self._path(number).with_suffix(".tmp").replace(self._path(number))

    def _path(self, number: int) -> Path:
        return self._folder / f"{FIRST_DAY + dt.timedelta(days=number)}.parquet"


def write_table(path: Path, table: pa.Table) -> None:
    """Writes one Parquet file that appears under its name only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)
