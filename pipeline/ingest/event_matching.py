"""Which impression each event follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.ingest.as_of import AsOf
from pipeline.ingest.places import FILE, POSITION


@dataclass(frozen=True)
class Matches:
    """One entry an event.

    Attributes:
      row: the impression's index; −1 where there is none.
      after: uint64 milliseconds from the impression to the event, where there is one.
      has_key: whether any impression has the event's keys.
      time: int64 milliseconds, 0 where missing.
    """

    row: np.ndarray
    after: np.ndarray
    has_key: np.ndarray
    time: np.ndarray


def match(
    rows: pa.Table, events: pa.Table, keys: list[str], time_of_rows: str, time_of_events: str
) -> Matches:
    """Finds for each event the newest impression with its keys that is not later than itself.

    Of impressions at the same time it is the last, by place. A row or an event that lacks a key or its time
    matches nothing.
    """
    codes = _codes(rows, events, keys)
    of_rows, of_events = codes[: len(rows)], codes[len(rows) :]
    shown, happened = times(rows, time_of_rows), times(events, time_of_events)
    usable = np.flatnonzero((of_events >= 0) & events[time_of_events].is_valid().to_numpy())
    asked = np.zeros(len(codes), bool)
    asked[of_events[usable]] = True
    order = np.flatnonzero((of_rows >= 0) & asked[of_rows] & rows[time_of_rows].is_valid().to_numpy())
    order = order[np.lexsort((rows[POSITION].to_numpy()[order], rows[FILE].to_numpy()[order]))]
    found = AsOf(of_rows[order], shown[order]).rows(of_events[usable], happened[usable])
    row = np.full(len(events), -1)
    row[usable[found >= 0]] = order[found[found >= 0]]
    there = np.zeros(len(codes), bool)
    there[of_rows[order]] = True
    has_key = np.zeros(len(events), bool)
    has_key[usable] = there[of_events[usable]]
    after = np.zeros(len(events), np.uint64)
    after[row >= 0] = elapsed(shown[row[row >= 0]], happened[row >= 0])
    return Matches(row, after, has_key, happened)


def times(table: pa.Table, name: str) -> np.ndarray:
    """int64 `[rows]` of a column of times, 0 where missing."""
    return table[name].fill_null(0).to_numpy()


def elapsed(since: np.ndarray, until: np.ndarray | np.int64) -> np.ndarray:
    """uint64 `until − since` where that is not negative: exact for any two int64, whose difference in int64
    could overflow."""
    return until.astype(np.int64).view(np.uint64) - since.view(np.uint64)


def _codes(rows: pa.Table, events: pa.Table, keys: list[str]) -> np.ndarray:
    """int64 `[rows + events]`, the same for equal keys; −1 where one is missing."""
    codes = np.zeros(len(rows) + len(events), np.int64)
    missing = np.zeros(len(codes), bool)
    for key in keys:
        both = pa.chunked_array([*rows[key].chunks, *events[key].chunks], rows.schema.field(key).type)
        missing |= both.is_null().to_numpy()
        index = both.combine_chunks().dictionary_encode().indices.fill_null(0).to_numpy()
        # joined one key at a time and numbered anew, so that codes stay below the number of rows
        codes = pd.factorize(codes * len(codes) + index)[0].astype(np.int64)
    codes[missing] = -1
    return codes
