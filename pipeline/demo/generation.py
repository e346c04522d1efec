"""Writes the demo's world to a folder."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.demo.catalogs import write_items, write_users
from pipeline.demo.ceilings import Ceilings
from pipeline.demo.drift import Drift, drifted_chances, drifted_items, plant_in_catalog
from pipeline.demo.encoders import write_encoders
from pipeline.demo.impressions import DAY_MS, DAYS, MIDNIGHT_MS, Day
from pipeline.demo.labels import draw_labels
from pipeline.demo.orders import COLLECTED_AFTER_MS, Collected, draw_orders
from pipeline.demo.pictures import write_pictures
from pipeline.demo.vectors import item_vectors, write_vectors
from pipeline.demo.world import World, build_world

if TYPE_CHECKING:
    from pipeline.demo.tables import FilesByDay

FORMAT = "mtl demo world 2"
# About 100,000 impressions a file, and all that is in memory at once.
REQUESTS_A_PART = 6_600
CARD, LOG, ORDERS, TRUTH = "world.json", "impressions", "orders", "propensities"
USERS, ITEMS, PICTURES, ENCODERS = "users.csv", "items.csv", "pictures", "encoders"
VECTORS = "vectors.parquet"


class ForeignFolderError(ValueError):
    """The folder asked for holds something that this generator did not write."""


@dataclass(frozen=True)
class DemoSummary:
    """What `world.json` says of a world.

    `relation`, `new_items` and `drift` are left out of the file where they are "related", 0 and "". `drift`
    is its kind and the first day that has it. `orders` counts events
    by what they are (see
    `Collected`); they are complete until `orders_until`, ISO in UTC. `ceilings` maps "all" and each date to
    {task: {examples, rate, auc}} (watch_seconds: {examples, mean, rmse, mae}): how well the true propensities
    score on the labels that they drew, late purchases too.
    """

    format: str
    seed: int
    rows: int
    content_effect: float
    relation: str
    new_items: float
    drift: str
    users: int
    items: int
    days: list[str]
    orders_until: str
    orders: dict[str, int]
    ceilings: dict[str, dict[str, dict[str, float | int | None]]]


def generate(
    out: Path,
    rows: int,
    seed: int,
    content_effect: float = 0.0,
    relation: str = "related",
    new_items: float = 0.0,
    progress: Callable[[int], None] | None = None,
    days: int = DAYS,
    drift: Drift | None = None,
) -> DemoSummary:
    """Writes a world of exactly `rows` impressions over some days to the folder `out`.

    Layout: `users.csv`, `items.csv`, `vectors.parquet`, `pictures/<item>.png`, with a content effect
    `encoders/` (see `pipeline.demo.encoders`), `impressions/<date>/part-*.parquet`, beside it row for row
    `propensities/<date>/part-*.parquet`, `orders/<date>.parquet` by the day of the event, which is up to four
    days after that of its impression, and `world.json`, complete only once all the rest is. The same
    arguments give the same bytes. Memory holds the catalogs and one part of the log.

    Args:
      out: a new or empty folder, or one that holds a demo world, which is replaced.
      rows: impressions, at least 400.
      seed: 0 or more; another seed is another world.
      new_items: share of the items that are shown from the ninth day on alone.
      content_effect: how much of what only titles and pictures show counts, 0 for not at all; 1 makes it
        one standard deviation of a click's log-odds.
      relation: of the tasks' tastes, one of `RELATIONS`; users, items and traffic are the same in all.
      progress: called with the number of rows written so far.
      days: ten or more. In a log of more, weekends differ in what people do, and after the tenth day there is
        a fifth more traffic.
      drift: what goes wrong. All that is of earlier days is the same as without.

    Raises: ForeignFolderError where `out` holds anything but a demo world; ValueError for arguments out of
      range.
    """
    _check_ours(out)
    world = build_world(rows, seed, content_effect, relation, new_items, days)
    card = {
        "format": FORMAT,
        "seed": seed,
        "rows": rows,
        "content_effect": content_effect,
        "relation": relation,
        "new_items": new_items,
        "drift": f"{drift.kind} from {world.days[drift.day].date}" if drift else "",
    }
    out.mkdir(parents=True, exist_ok=True)
    # Marks the folder as ours from the first byte on, so that an interrupted run can be repeated.
    _write_card(out, card | {"complete": False})
    _clear(out)
    write_users(out / USERS, seed, world.users)
    write_items(out / ITEMS, seed, world.items)
    plant_in_catalog(out / ITEMS, drift)
    _write_vectors(out / VECTORS, world, drift)
    write_pictures(out / PICTURES, seed, world.items)
    if content_effect:  # TensorFlow is loaded for these
        write_encoders(out / ENCODERS)
    from pipeline.demo.tables import FilesByDay

    overall, collected, checkout = Ceilings(), Collected(), FilesByDay(out / ORDERS)
    by_day = {}
    written = 0
    for day in world.days:
        today = Ceilings()
        for count, events in _write_day(out, world, day, checkout, (overall, today), drift):
            written += count
            collected += events
            if progress is not None:
                progress(written)
        by_day[day.date] = today.result()
        checkout.close(before=day.index + 1)
    checkout.close()
    summary = DemoSummary(
        **card,
        users=len(world.users.ids),
        items=len(world.items.ids),
        days=list(by_day),
        orders_until=dt.datetime.fromtimestamp(_collected_until(world) / 1000, dt.UTC).isoformat(),
        orders=asdict(collected),
        ceilings={"all": overall.result()} | by_day,
    )
    _write_card(out, asdict(summary) | {"complete": True})
    return summary


def _check_ours(out: Path) -> None:
    """Raises unless `out` is new, empty or a demo world."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ForeignFolderError(f"{out} is a file; the demo world needs a folder")
    names = sorted(path.name for path in out.iterdir())
    if not names:
        return
    try:
        card = json.loads((out / CARD).read_text(encoding="utf-8"))
        known = isinstance(card, dict) and str(card.get("format", "")).startswith("mtl demo world")
    except (OSError, ValueError):
        known = False
    if not known:
        raise ForeignFolderError(
            f"{out} is not empty and holds no demo world ({CARD} is missing or not ours); "
            "name a new or empty folder"
        )
    ours = {CARD, CARD + ".tmp", LOG, ORDERS, TRUTH, USERS, ITEMS, PICTURES, ENCODERS, VECTORS}
    strangers = [name for name in names if name not in ours]
    if strangers:
        raise ForeignFolderError(
            f"{out} holds a demo world and also {', '.join(strangers[:3])}; "
            "move that away or name another folder"
        )


def _clear(out: Path) -> None:
    for folder in (LOG, ORDERS, TRUTH, PICTURES, ENCODERS):
        shutil.rmtree(out / folder, ignore_errors=True)
    for name in (USERS, ITEMS, VECTORS):
        (out / name).unlink(missing_ok=True)


def _write_card(out: Path, card: dict) -> None:
    if card["relation"] == "related":
        card = {name: value for name, value in card.items() if name != "relation"}
    card = {name: value for name, value in card.items() if value or name not in ("new_items", "drift")}
    draft = out / (CARD + ".tmp")
    draft.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    draft.replace(out / CARD)


def _collected_until(world: World) -> int:
    return MIDNIGHT_MS + len(world.days) * DAY_MS + COLLECTED_AFTER_MS


def _write_vectors(path: Path, world: World, drift: Drift | None) -> None:
    vectors = item_vectors(world.seed, world.items, other=drift is not None and drift.kind == "encoder")
    ids, renamed = world.items.ids, drifted_items(world.items, drift, len(world.days)).ids
    if renamed is not ids:
        ids, vectors = np.concatenate([ids, renamed]), np.concatenate([vectors, vectors])
    write_vectors(path, ids, vectors)


def _write_day(
    out: Path,
    world: World,
    day: Day,
    checkout: "FilesByDay",
    ceilings: tuple[Ceilings, ...],
    drift: Drift | None,
) -> Iterator[tuple[int, Collected]]:
    """Writes a day part by part; yields the rows and events of each part once it is on disk."""
    from pipeline.demo.tables import impression_table, order_table, propensity_table, write_table

    first_request = day.first_request
    first_row = day.first_row
    called = replace(world, items=drifted_items(world.items, drift, day.index))
    for part, first in enumerate(range(0, len(day.sizes), REQUESTS_A_PART)):
        last = min(first + REQUESTS_A_PART, len(day.sizes))
        shown = world.block(day.index, first, last)
        chance = drifted_chances(world.propensities(shown), drift, day.index)
        labels = draw_labels(shown, chance)
        orders, events = draw_orders(world.seed, day, shown, labels, first_row, _collected_until(world))
        name = f"{day.date}/part-{part:05d}.parquet"
        write_table(out / LOG / name, impression_table(called, shown, labels, first_row, first_request))
        write_table(out / TRUTH / name, propensity_table(chance, first_row))
        checkout.add(order_table(called, orders))
        for ceiling in ceilings:
            ceiling.add(labels, chance)
        first_row += len(shown.user)
        yield len(shown.user), events
