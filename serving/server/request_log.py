"""A share of the answered requests as Parquet files that ingestion reads; it never holds up or fails one."""

import itertools
import logging
import os
import queue
import random
import threading
import time
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serving.private import hashes_alone

MISSING_INT = np.iinfo(np.int64).min
SIGNATURES = ("serving_default", "rank")  # whose inputs are the recipe's columns
HELD_BYTES = 64 << 20  # of requests that wait to be written; of more, requests are left out
FILE_ROWS, FILE_SECONDS = 65_536, 60.0
FOLDER_BYTES = 1 << 30
_LOG = logging.getLogger(__name__)
# of the process: its own number is the same in every container, and these may share a volume
_PROCESS = uuid.uuid4().hex[:8]
_NUMBERS = itertools.count(1)  # of this process's files, whichever of its logs they are of


@dataclass(frozen=True)
class Logged:
    """An answered request; `size` is that of its message or of its arrays in bytes, whichever is more."""

    request: str
    at_ms: int
    version: int
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    size: int


class RequestLog:
    """Writes `requests-<time>-<process>-<n>.parquet`, each whole once it has that name.

    A file is written once a minute or every 65,536 rows; the oldest go where the folder has more than 1 GiB.
    A row has the model's inputs by the recipe's names (missing values null; times in milliseconds and dates in
    days, as the model takes them), `predicted_<output>`, and `served_request` (the id that the client sent, or one made
    here), `served_row`, `served_at` (milliseconds since 1970) and `served_version`. All rows of a request are
    there or none. `kill -9` loses the last minute.
    """

    def __init__(self, folder: Path, share: float):
        """
        Args:
          folder: is made.
          share: of the requests, 0 to 1.

        Raises:
          OSError: the folder cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.left_out = 0  # sampled requests that were not written, because of a queue or disk that is full
        self._folder, self._share = folder, share
        self._random = random.Random()
        self._queue: queue.SimpleQueue[Logged | None] = queue.SimpleQueue()
        self._held, self._lock = 0, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self._thread.start()

    def offer(
        self,
        signature: str,
        request: str,
        version: int,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        size: int,
        private: Set[str] = frozenset(),
    ) -> None:
        """Takes the request where the draw falls on it and there is room; of the inputs that are `private` it
        writes hashes alone, and null where a client sent something else."""
        if signature not in SIGNATURES or self._random.random() >= self._share:
            return
        # a message of a few bytes may unfold to an array of any size
        size = max(size, sum(x.nbytes for arrays in (inputs, outputs) for x in arrays.values()))
        with self._lock:
            if self._held + size > HELD_BYTES:
                self.left_out += 1
                return
            self._held += size
        request = request or uuid.uuid4().hex
        inputs = {name: hashes_alone(x) if name in private else x for name, x in inputs.items()}
        self._queue.put(Logged(request, time.time_ns() // 1_000_000, version, inputs, outputs, size))

    def close(self) -> None:
        """Writes what waits."""
        self._queue.put(None)
        self._thread.join(30)

    def _work(self) -> None:
        over = False
        while not over:
            batch, rows, end = [], 0, time.monotonic() + FILE_SECONDS
            while rows < FILE_ROWS and (left := end - time.monotonic()) > 0:
                try:
                    found = self._queue.get(timeout=left)
                except queue.Empty:
                    break
                if found is None:
                    over = True
                    break
                batch.append(found)
                rows += _rows(found)
            if batch:
                self._write(batch)

    def _write(self, batch: list[Logged]) -> None:
        try:
            tables = [_table(one) for one in batch]
            table = pa.concat_tables(tables, promote_options="default")  # versions may take other columns
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            path = self._folder / f"requests-{moment}-{_PROCESS}-{next(_NUMBERS):06d}.parquet"
            pq.write_table(table, part := path.with_suffix(".part"))
            os.replace(part, path)
            self._make_room()
        except Exception:  # a full disk, say: requests are answered all the same
            self.left_out += len(batch)
            _LOG.exception("%d requests could not be logged", len(batch))
        finally:
            with self._lock:
                self._held -= sum(one.size for one in batch)

    def _make_room(self) -> None:
        files = sorted(self._folder.glob("requests-*.parquet"))
        sizes = [path.stat().st_size for path in files]
        for path, size in zip(files[:-1], sizes):
            if sum(sizes) <= FOLDER_BYTES:
                break
            path.unlink()
            sizes = sizes[1:]


def _rows(one: Logged) -> int:
    return len(next(iter(one.outputs.values())))


def _table(one: Logged) -> pa.Table:
    rows = _rows(one)
    columns: dict[str, pa.Array] = {
        "served_request": pa.array([one.request] * rows),
        "served_row": pa.array(np.arange(rows)),
        "served_at": pa.array(np.full(rows, one.at_ms)),
        "served_version": pa.array(np.full(rows, one.version)),
    }
    columns |= {name: _column(np.repeat(x, rows, 0) if len(x) == 1 else x) for name, x in one.inputs.items()}
    columns |= {f"predicted_{name}": _column(x) for name, x in one.outputs.items()}
    return pa.table(columns)


def _column(values: np.ndarray) -> pa.Array:
    """`[rows]` with nulls for missing values, or `[rows, length]` as lists without them."""
    flat = values.reshape(-1)
    if flat.dtype == object:
        missing = flat == b""
        there = pa.array([v.decode("utf-8", "replace") for v in flat.tolist()], pa.string(), mask=missing)
    else:
        missing = np.isnan(flat) if flat.dtype.kind == "f" else flat == MISSING_INT
        there = pa.array(flat, mask=missing)
    if values.ndim == 1:
        return there
    counts = (~missing).reshape(len(values), -1).sum(1)
    return pa.ListArray.from_arrays(pa.array(np.r_[0, counts.cumsum()].astype(np.int32)), there.drop_null())
