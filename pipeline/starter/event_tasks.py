"""Tasks whose labels are rows of an event log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.starter.columns import Field
from pipeline.starter.features import DAY_MS
from pipeline.starter.joins import EventJoin
from pipeline.starter.names import recipe_name, singular, suggests
from pipeline.starter.tables import Table

WINDOWS = {
    "1h": DAY_MS // 24,
    "6h": DAY_MS // 4,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "7d": 7 * DAY_MS,
    "14d": 14 * DAY_MS,
}


@dataclass
class EventTask:
    """A task of the recipe: `settings` in YAML's flow form without the braces; `note` says what is guessed."""

    name: str
    kind: str
    settings: str
    note: str


def event_tasks(log: Table, join: EventJoin, time: Field, taken: set[str], most: int = 4) -> list[EventTask]:
    """One binary task a kind of event, and a quantity where the events have one amount."""
    window, how = _window(log, join, time)
    source = join.table.name
    kinds = [
        f
        for f in join.table.fields.values()
        if f.type == "string" and suggests(f.column, "event_type") and f.distinct <= 20
    ]
    found: list[EventTask] = []
    if kinds:
        for value in [v for v in kinds[0].values if np.sum(kinds[0].codes == _code(kinds[0], v)) >= 100][
            :most
        ]:
            where = f"{kinds[0].name} == '{value}'"
            name = recipe_name(str(value), {*taken, *(t.name for t in found)})
            found.append(
                EventTask(
                    name, "binary", f'events: {{source: {source}, where: "{where}", window: {window}}}', how
                )
            )
    if not found:
        name = recipe_name(singular(source.split("_")[-1]), taken)
        found.append(EventTask(name, "binary", f"events: {{source: {source}, window: {window}}}", how))
    amounts = [
        f
        for f in join.table.fields.values()
        if f.numeric
        and f.name not in join.keys
        and suggests(f.column, "amount")
        and np.nanmin(f.numbers) >= 0
    ]
    if len(amounts) == 1 and len(found) == 1:
        name = recipe_name(amounts[0].name, {*taken, found[0].name})
        events = found[0].settings.removesuffix("}") + f", value: {amounts[0].name}}}"
        found.append(
            EventTask(
                name,
                "regression",
                f"{events}, where: {found[0].name} == 1, loss_weight: 0.1",
                "known only where it happened",
            )
        )
    return found


def _code(f: Field, value: object) -> int:
    return f.array.dictionary_encode().dictionary.index(pa.scalar(value)).as_py()


def _window(log: Table, join: EventJoin, time: Field) -> tuple[str, str]:
    """The shortest usual window that holds 95 % of the delays seen, within a fifth of the log's length."""
    span = np.ptp(time.numbers[~np.isnan(time.numbers)])
    allowed = [w for w, ms in WINDOWS.items() if ms <= max(span / 5, WINDOWS["1h"])]
    delays = _delays(log, join, time)
    if len(delays) < 30:
        return allowed[-1], "the sample shows too few events beside their impressions to measure delays"
    usual = np.quantile(delays, 0.95)
    window = next((w for w in allowed if WINDOWS[w] >= usual), allowed[-1])
    inside = np.mean(delays <= WINDOWS[window])
    return window, f"{inside:.0%} of the events seen come within {window}"


def _delays(log: Table, join: EventJoin, time: Field) -> np.ndarray:
    """Milliseconds from each event's newest impression with its keys, of those in the sample."""
    import pandas as pd

    keys = {n: np.concatenate([_texts(log.fields[n]), _texts(join.table.fields[n])]) for n in join.keys}
    codes = np.zeros(log.rows + join.table.rows, np.int64)
    for values in keys.values():
        part, _ = pd.factorize(values)
        codes, _ = pd.factorize(codes * (part.max() + 2) + part)
    shown = pd.DataFrame({"key": codes[: log.rows], "at": time.numbers}).dropna().sort_values("at")
    events = pd.DataFrame({"key": codes[log.rows :], "then": join.time.numbers}).dropna().sort_values("then")
    both = pd.merge_asof(events, shown, left_on="then", right_on="at", by="key").dropna()
    return (both["then"] - both["at"]).to_numpy()


def _texts(f: Field) -> np.ndarray:
    return f.array.cast(pa.string()).to_numpy(zero_copy_only=False)
