"""Which source is the impression log, which are catalogs and event logs, and by what they join."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.errors import DataError
from pipeline.starter.columns import Field
from pipeline.starter.names import related, suggests, tokens
from pipeline.starter.tables import Table, pair_codes

ENOUGH = 0.5  # of the log's keys that a catalog must know, of those that the sample could show


@dataclass
class CatalogJoin:
    """A catalog: `key` of its own, `on` of the log. `matched` is the share of the log's distinct keys that
    the sample found. `one_to_one`: the log has each key once too, so that it is about impressions."""

    table: Table
    key: Field
    on: Field
    matched: float
    one_to_one: bool = False
    time: Field | None = None


@dataclass
class EventJoin:
    """An event log and the columns that it shares with the log."""

    table: Table
    keys: list[str]
    time: Field
    matched: float
    unique: Field | None = None


@dataclass
class Sources:
    log: Table
    catalogs: list[CatalogJoin] = field(default_factory=list)
    events: list[EventJoin] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)


def overlap(some: pa.Array, of: pa.Array) -> float:
    """Share of the distinct values of one array that the other has."""
    values = pc.unique(some).drop_null()
    return (
        pc.mean(pc.is_in(values, value_set=pc.unique(of)).cast(pa.float64())).as_py() if len(values) else 0.0
    )


def sort_out(tables: list[Table]) -> Sources:
    """Raises DataError where no table can be the log."""
    edges = {t.name: _catalogs(t, tables) for t in tables}
    is_catalog = {c.table.name for found in edges.values() for c in found if not c.one_to_one}
    logs = [t for t in tables if t.name not in is_catalog]
    if not logs:
        raise DataError(
            "every source has a key that another joins to; no source is left to be the impression log"
        )
    most = max(t.sample.total for t in logs)

    def score(t: Table) -> float:
        outcomes = sum(f.binary and suggests(f.column, "outcome") for f in t.fields.values())
        typed = any(
            suggests(f.column, "event_type") and 2 <= f.distinct <= 20
            for f in t.fields.values()
            if f.type == "string"
        )
        return (
            2 * len([c for c in edges[t.name] if not c.one_to_one])
            + 2 * (outcomes > 0)
            + 2 * suggests(t.name, "impressions")
            - 1 * suggests(t.name, "events")
            - 1 * typed
            + t.sample.total / most
        )

    log = max(logs, key=score)
    found = Sources(log, edges[log.name])
    joined = {c.table.name for c in found.catalogs}
    for table in tables:
        if table is log or table.name in joined:
            continue
        if (timed := _timed(log, table)) is not None:
            found.catalogs.append(timed)
        elif (events := _events(log, table)) is not None:
            found.events.append(events)
        else:
            found.unused[table.name] = "no column of it joins to the log clearly"
    return found


def _catalogs(log: Table, tables: list[Table]) -> list[CatalogJoin]:
    found = []
    for table in tables:
        if table is log:
            continue
        best: CatalogJoin | None = None
        for key in table.keys:
            for on in log.fields.values():
                if on.type != key.type or not related(key.column, table.name, on.column):
                    continue
                share = overlap(on.array, key.array) / table.fraction
                near = table.fraction < 0.2 and _same_range(on, key)
                if (share >= ENOUGH or near) and (best is None or share > best.matched):
                    best = CatalogJoin(table, key, on, min(1.0, share), on in log.keys)
        if best is not None:
            found.append(best)
    return found


def _same_range(one: Field, other: Field) -> bool:
    a, b = (pc.min_max(f.array).as_py() for f in (one, other))
    return a["min"] <= b["max"] and b["min"] <= a["max"]


def _timed(log: Table, table: Table) -> CatalogJoin | None:
    """A table with many rows a key, each from another time, that covers the log's keys."""
    times = [f for f in table.fields.values() if f.type == "time"]
    if not times or not suggests(table.name, "snapshot"):
        return None
    shared = [
        f
        for n, f in table.fields.items()
        if n in log.fields and suggests(f.column, "category") and f.type in ("int", "string")
    ]
    for key in shared:
        on = log.fields[key.name]
        if on.type == key.type and len(set(pair_codes([key, times[0]]))) == table.rows:
            share = overlap(on.array, key.array) / (table.fraction if table.fraction < 0.5 else 1.0)
            if share >= ENOUGH:
                return CatalogJoin(table, key, on, min(1.0, share), time=times[0])
    return None


def _events(log: Table, table: Table) -> EventJoin | None:
    """A table with a time and the log's keys: a request's or impression's, or a user's and an item's."""
    times = [f for f in table.fields.values() if f.type == "time" and f.name not in log.fields] or [
        f for f in table.fields.values() if f.type == "time"
    ]
    keys = [
        n
        for n, f in table.fields.items()
        if n in log.fields
        and f.type == log.fields[n].type
        and f.type in ("int", "string")
        and any(suggests(f.column, kind) for kind in ("user", "item", "request"))
        and "id" in (f.column.lower().split("_")[-1], f.column.lower()[-2:])
    ]
    precise = [n for n in keys if suggests(n, "request")]
    if not times or not keys or (len(keys) < 2 and not precise):
        return None
    matched = min(overlap(table.fields[n].array, log.fields[n].array) for n in keys)
    reachable = log.fraction if precise else 1.0
    own = [
        f
        for n, f in table.fields.items()
        if n not in keys
        and f.type in ("int", "string")
        and "id" in tokens(f.column)
        and f.distinct > 0.8 * table.rows
    ]
    return (
        EventJoin(table, keys, times[0], matched, own[0] if own else None)
        if matched >= 0.3 * reachable
        else None
    )
