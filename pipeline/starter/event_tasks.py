"""Tasks whose labels are rows of an event log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.starter.columns import Field
from pipeline.starter.features import DAY_MS
from pipeline.starter.joins import EventJoin
from pipeline.starter.names import recipe_name, singular, suggests
from pipeline.starter.outcomes import Outcome, nested
from pipeline.starter.tables import Table

HOURS = {"1h": 1, "3h": 3, "6h": 6, "12h": 12, "1d": 24, "2d": 48, "3d": 72, "4d": 96, "7d": 168, "14d": 336}
WINDOWS = {name: hours * DAY_MS // 24 for name, hours in HOURS.items()}
ENOUGH = 100  # events of a kind in the sample


@dataclass
class EventTask:
    """A task of the recipe: `settings` in YAML's flow form without the braces; `note`: what is guessed."""

    name: str
    kind: str
    settings: str
    note: str


@dataclass
class _Kind:
    """Events of one kind: `where` selects them, `chosen` are their rows."""

    name: str
    where: str | None
    chosen: np.ndarray


def event_tasks(
    log: Table, join: EventJoin, time: Field, outcomes: list[Outcome], taken: set[str], most: int = 4
) -> list[EventTask]:
    """One binary task a kind of event, and a quantity where one kind has an amount.

    Args:
      log: the log's sample.
      join: the event log.
      time: of the impressions.
      outcomes: of the log, without which events may not happen.
      taken: names that tasks cannot have.
      most: kinds.
    """
    rows, delays = _matched(log, join, time)
    found: list[EventTask] = []
    for kind in _kinds(join.table)[:most]:
        name = recipe_name(kind.name, {*taken, *(t.name for t in found)})
        window, how = _window(time, join, delays[kind.chosen & (rows >= 0)])
        source = f"source: {join.table.name}" + (f', where: "{kind.where}"' if kind.where else "")
        happened = np.zeros(log.rows, bool)
        happened[rows[kind.chosen & (rows >= 0)]] = True
        parents = [o for o in outcomes if o.kind == "binary" and nested(happened, o.happened)]
        parent = min(parents, key=lambda o: o.happened.sum()).condition if parents else None
        where = f', where: "{parent}"' if parent else ""
        notes = [how, *([f"none in rows without {parent}"] if parent else [])]
        found.append(
            EventTask(name, "binary", f"events: {{{source}, window: {window}}}{where}", "; ".join(notes))
        )
        if (amount := _amount(join, kind)) is not None:
            found.append(
                EventTask(
                    recipe_name(amount, {*taken, *(t.name for t in found)}),
                    "regression",
                    f'events: {{{source}, window: {window}, value: {amount}}}, where: "{name} == 1", '
                    "loss_weight: 0.1",
                    f"the sum of what a {name} brings",
                )
            )
    return found


def _kinds(table: Table) -> list[_Kind]:
    """The kinds of event by a column that names them, or all events as one."""
    for f in table.fields.values():
        if f.type == "string" and suggests(f.column, "event_type") and 2 <= f.distinct <= 20:
            dictionary = f.array.dictionary_encode().dictionary.to_pylist()
            kinds = [
                _Kind(str(v), f"{f.name} == '{v}'", f.codes == dictionary.index(v))
                for v in f.values
                if "'" not in str(v) and '"' not in str(v)
            ]
            return [k for k in kinds if k.chosen.sum() >= ENOUGH]
    return [_Kind(singular(table.name.split("_")[-1]), None, np.ones(table.rows, bool))]


def _amount(join: EventJoin, kind: _Kind) -> str | None:
    """The one column that says how much, where events of this kind have it and it is that of a purchase."""
    found = [
        f
        for f in join.table.fields.values()
        if f.numeric
        and f.name not in join.keys
        and suggests(f.column, "amount")
        and (~f.missing & kind.chosen).sum() >= 0.9 * kind.chosen.sum()
        and np.nanmin(f.numbers[kind.chosen]) >= 0
    ]
    paid = kind.where is None or suggests(kind.name, "paid")
    return found[0].name if len(found) == 1 and paid else None


def _window(time: Field, join: EventJoin, delays: np.ndarray) -> tuple[str, str]:
    """The shortest usual window with 95 % of the delays seen, unless it would stay open for too many rows."""
    span = np.nanmax(time.numbers) - np.nanmin(time.numbers)
    after = np.nanmax(join.time.numbers) - np.nanquantile(time.numbers, 0.98)
    allowed = [w for w, ms in WINDOWS.items() if ms <= max(after, span / 10, WINDOWS["1h"])]
    if len(delays) < 30:
        return allowed[-1], "too few events lie beside their impressions in the sample to measure delays"
    usual = np.quantile(delays, 0.95)
    window = next((w for w in allowed if WINDOWS[w] >= usual), allowed[-1])
    inside = np.mean(delays <= WINDOWS[window])
    return window, f"{inside:.0%} of the events seen come within {window}"


def _matched(log: Table, join: EventJoin, time: Field) -> tuple[np.ndarray, np.ndarray]:
    """For each event: the row of the newest impression with its keys in the sample, -1 where there is none,
    and the milliseconds since it."""
    codes = np.zeros(log.rows + join.table.rows, np.int64)
    for name in join.keys:
        values = np.concatenate([_texts(log.fields[name]), _texts(join.table.fields[name])])
        part, distinct = pd.factorize(values)
        codes, _ = pd.factorize(codes * (len(distinct) + 1) + part + 1)
    at = time.array.fill_null(0).to_numpy(zero_copy_only=False)
    then = join.time.array.fill_null(0).to_numpy(zero_copy_only=False)
    shown = pd.DataFrame({"key": codes[: log.rows], "at": at, "row": np.arange(log.rows)}).sort_values("at")
    events = pd.DataFrame({"key": codes[log.rows :], "then": then, "event": np.arange(join.table.rows)})
    both = pd.merge_asof(events.sort_values("then"), shown, left_on="then", right_on="at", by="key")
    both = both.sort_values("event")
    return both["row"].fillna(-1).to_numpy(np.int64), (both["then"] - both["at"]).to_numpy()


def _texts(f: Field) -> np.ndarray:
    return f.array.cast(pa.string()).to_numpy(zero_copy_only=False)
