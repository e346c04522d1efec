"""Which columns of the log are user, item, request, time, position and scenario, and which identify a row."""

from __future__ import annotations

import numpy as np

from pipeline.starter.columns import Field
from pipeline.starter.joins import Sources
from pipeline.starter.names import suggests, tokens
from pipeline.starter.tables import Table, pair_codes

REPEATS = 0.1  # so many rows may repeat another and still be repeats rather than rows of their own


def find_roles(sources: Sources) -> dict[str, tuple[Field, str]]:
    """Role → column of the log, and why."""
    log = sources.log
    joined = {c.on.name: c.table.name for c in sources.catalogs if not c.one_to_one}
    found: dict[str, tuple[Field, str]] = {}
    if (time := _time(log)) is not None:
        found["time"] = (
            time,
            "the log's only time" if _times(log) == [time] else "the time that most reads like it",
        )
    for role in ("user", "item", "request"):
        candidates = [
            f
            for f in log.fields.values()
            if _is_id(f) and suggests(f.column, role) and not any(f is c for c, _ in found.values())
        ]
        if role == "request":
            candidates = [f for f in candidates if f not in log.keys and _within(f, found.get("user"))]
        candidates.sort(key=lambda f: (f.name not in joined, -f.distinct))
        if candidates:
            f = candidates[0]
            why = f"joins {joined[f.name]}; " if f.name in joined else ""
            found[role] = f, f"{why}{f.distinct:,} values in {log.rows:,} rows"
    named = [
        f
        for f in log.fields.values()
        if f.type == "int" and suggests(f.column, "position") and 2 <= f.distinct <= 500
    ]
    if named:
        found["position"] = (
            named[0],
            f"{int(np.nanmin(named[0].numbers))} to {int(np.nanmax(named[0].numbers))}",
        )
    scenes = [
        f
        for f in log.fields.values()
        if suggests(f.column, "scenario")
        and f.type in ("int", "string")
        and 2 <= f.distinct <= 50
        and not _is_id(f)
    ]
    if scenes and ("item" in found or "request" in found):
        found["scenario"] = scenes[0], f"{scenes[0].distinct} values"
    return found


def _is_id(f: Field) -> bool:
    return f.type in ("int", "string") and bool(
        {"id", "uid", "asin", "sku"} & {*tokens(f.column), f.column.lower()[-2:]}
    )


def _counts(f: Field) -> bool:
    """Whether it numbers the rows: one more from each row to the next, but where rows were left out."""
    return f.type == "int" and len(f.numbers) > 100 and float(np.median(np.diff(f.numbers))) == 1.0


def _times(log: Table) -> list[Field]:
    return [f for f in log.fields.values() if f.type == "time"]


def _time(log: Table) -> Field | None:
    """The time of the impression: it is never missing, and reads like that and not like an outcome's."""
    candidates = [f for f in _times(log) if f.missing.mean() < 0.001]
    if not candidates:
        return None
    return min(candidates, key=lambda f: (suggests(f.column, "outcome"), len(tokens(f.column)), -f.distinct))


def _within(f: Field, user: tuple[Field, str] | None) -> bool:
    """Whether each value belongs to one user, as a request does."""
    if user is None:
        return True
    return len(np.unique(pair_codes([f, user[0]]))) <= 1.02 * f.distinct


def find_unique(log: Table, roles: dict[str, tuple[Field, str]]) -> tuple[list[str], int]:
    """The columns that identify a row, and how many rows of the sample repeat another's."""
    for f in log.keys:
        if _is_id(f) or _counts(f):
            return [f.name], 0
    if {"user", "item"} <= roles.keys() and ("request" in roles or "time" in roles):
        when = roles["request"] if "request" in roles else roles["time"]
        fields = [roles["user"][0], roles["item"][0], when[0]]
        repeats = log.rows - len(np.unique(pair_codes(fields)))
        if repeats <= REPEATS * log.rows:
            return [f.name for f in fields], repeats
    return [], 0
