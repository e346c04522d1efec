"""Who was shown what, when and where: the log before anything followed."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from pipeline.demo import words
from pipeline.demo.catalogs import FIRST_DAY, Items, Users
from pipeline.demo.draws import Stream, uniforms

DAYS = 10
NEW_FROM_DAY = 8  # the two days that the demo's recipes validate and test on
SHORTEST, LONGEST = 10, 20
FEWEST_ROWS_A_DAY = 2 * LONGEST
DAY_MS = 86_400_000
MIDNIGHT_MS = int(dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC).timestamp()) * 1000
# Monday to Sunday: weekends are busier. After the demo's ten days there is a fifth more traffic.
WEEK_WEIGHTS = np.array((1.0, 0.98, 0.98, 1.0, 1.06, 1.2, 1.16))
MORE_TRAFFIC = 1.2
HOUR_WEIGHTS = np.array(
    (1.3, 0.8, 0.5, 0.4, 0.4, 0.6, 1.2, 2.2, 3.0, 3.0, 2.9, 3.1)
    + (3.8, 3.6, 3.1, 3.0, 3.2, 3.8, 4.6, 5.6, 6.4, 6.2, 4.6, 2.6)
)
SURFACE_WEIGHTS = np.array((0.6, 0.25, 0.15))
# At weekends people come two hours later, some after midnight, and look around more. Only in logs of more than
# ten days: the demo's own stays as it was.
WEEKEND_HOURS_LATER, WEEKEND_SURFACE_WEIGHTS = 2, np.array((0.52, 0.3, 0.18))
PRIMARY_DEVICE_SHARE = 0.8
# Numbers of the table of uniforms that a slot of a request takes: the item, click, like, purchase, watch.
SLOT_DRAWS = 5


@dataclass(frozen=True)
class Day:
    """One day's requests, sizes[k] impressions each; `first_*` is where the day starts in the log. `weekend`:
    whether people behave as they do then."""

    index: int
    first_row: int
    first_request: int
    sizes: np.ndarray
    weekend: bool = False

    @property
    def date(self) -> str:
        return str(FIRST_DAY + dt.timedelta(days=self.index))


@dataclass(frozen=True)
class Block:
    """Impressions of consecutive requests of a day, one entry an impression; codes as in the catalogs."""

    request: np.ndarray  # number within the day
    user: np.ndarray
    item: np.ndarray
    time_ms: np.ndarray
    position: np.ndarray  # from 1
    device: np.ndarray
    surface: np.ndarray
    luck: np.ndarray  # uniforms [rows, 4] for click, like, purchase, watch

    @property
    def hour(self) -> np.ndarray:
        """Hour of the day, UTC."""
        return (self.time_ms - MIDNIGHT_MS) % DAY_MS // 3_600_000


def request_sizes(seed: int, day: int, rows: int) -> np.ndarray:
    """Request sizes, each SHORTEST..LONGEST, that add up to exactly `rows`."""
    enough = -(-rows // SHORTEST)
    draws = uniforms(seed, Stream.REQUEST_SIZES, day, 0, -(-enough // 4), 4).ravel()
    sizes = SHORTEST + (draws * (LONGEST - SHORTEST + 1)).astype(np.int64)
    total = np.cumsum(sizes)
    # Keep requests while one more can still be filled, then share out what is left (10..29 rows).
    kept = int(np.searchsorted(total, rows - SHORTEST, side="right"))
    left = rows - (int(total[kept - 1]) if kept else 0)
    last = [left] if left <= LONGEST else [left // 2, left - left // 2]
    return np.concatenate([sizes[:kept], last])


def plan(seed: int, rows: int, days: int = DAYS) -> list[Day]:
    """The days of a log of exactly `rows` impressions."""
    weights = WEEK_WEIGHTS[np.arange(days) % 7] * np.where(np.arange(days) < DAYS, 1.0, MORE_TRAFFIC)
    edges = np.round(rows * np.cumsum(weights) / weights.sum()).astype(np.int64)
    found, row, request = [], 0, 0
    for index, end in enumerate(edges.tolist()):
        weekend = days > DAYS and index % 7 >= 5
        found.append(Day(index, row, request, request_sizes(seed, index, end - row), weekend))
        row, request = end, request + len(found[-1].sizes)
    return found


def _times(day: Day, request: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Milliseconds UTC. Request k of n falls into the k-th n-th of the day's traffic: time runs with k."""
    share = (request + draws) / len(day.sizes)
    hours = np.roll(HOUR_WEIGHTS, WEEKEND_HOURS_LATER) if day.weekend else HOUR_WEIGHTS
    traffic = np.concatenate([[0.0], np.cumsum(hours) / hours.sum()])
    within = np.interp(share, traffic, np.linspace(0, DAY_MS, 25)).astype(np.int64)
    return MIDNIGHT_MS + day.index * DAY_MS + np.minimum(within, DAY_MS - 1)


def _on_offer(items: Items, day: int) -> np.ndarray:
    """The share of the slots of each item that is there on a day: new ones are the catalog's last."""
    known = len(items.ids) - (items.new if day < NEW_FROM_DAY else 0)
    return items.exposure[:known] / items.exposure[:known].sum() if items.new else items.exposure


def _pick(shares: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(np.cumsum(shares), draws, side="right"), len(shares) - 1)


def without_repeats(items: np.ndarray, count: int) -> np.ndarray:
    """The same [requests, slots] items with repeats within a request moved on to neighbours."""
    order = np.argsort(items, axis=1, kind="stable")
    ranked = np.take_along_axis(items, order, axis=1)
    slot = np.arange(items.shape[1])
    # y_j = max(x_j, y_{j-1} + 1) for sorted x, then held below the end of the catalog.
    ranked = np.maximum.accumulate(ranked - slot, axis=1) + slot
    ranked = np.minimum(ranked, count - items.shape[1] + slot)
    distinct = np.empty_like(items)
    np.put_along_axis(distinct, order, ranked, axis=1)
    return distinct


def block(seed: int, users: Users, items: Items, day: Day, first: int, last: int) -> Block:
    """Impressions of requests `first` .. `last` of a day; a request depends on its number alone."""
    count = last - first
    number = np.arange(first, last)
    who, when, where, how = uniforms(seed, Stream.REQUESTS, day.index, first, count, 4).T
    user = _pick(users.activity, who)
    # One uniform decides twice: below the share the primary device, above it any device.
    other = (how - PRIMARY_DEVICE_SHARE) / (1 - PRIMARY_DEVICE_SHARE) * len(words.DEVICES)
    device = np.where(how < PRIMARY_DEVICE_SHARE, users.device[user], other.astype(np.int64))
    slots = uniforms(seed, Stream.SLOTS, day.index, first, count, LONGEST * SLOT_DRAWS)
    slots = slots.reshape(count, LONGEST, SLOT_DRAWS)
    shown = np.arange(LONGEST) < day.sizes[first:last, None]
    shares = _on_offer(items, day.index)
    item = without_repeats(_pick(shares, slots[:, :, 0]), len(shares))
    surfaces = WEEKEND_SURFACE_WEIGHTS if day.weekend else SURFACE_WEIGHTS

    def spread(per_request: np.ndarray) -> np.ndarray:
        return np.repeat(per_request, day.sizes[first:last])

    return Block(
        request=spread(number),
        user=spread(user),
        item=item[shown],
        time_ms=spread(_times(day, number, when)),
        position=np.broadcast_to(np.arange(1, LONGEST + 1), shown.shape)[shown],
        device=spread(device),
        surface=spread(_pick(surfaces / surfaces.sum(), where)),
        luck=slots[shown][:, 1:],
    )
