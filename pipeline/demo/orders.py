"""What the checkout tells of impressions, hours to days later: the demo's second log."""

import math
from dataclasses import dataclass, fields

import numpy as np

from pipeline.demo.draws import Stream, uniforms
from pipeline.demo.impressions import DAY_MS, DAYS, MIDNIGHT_MS, Block, Day
from pipeline.demo.labels import Labels

HOUR_MS = 3_600_000
# A purchase follows its impression after an exponential delay (Chapelle, "Modeling delayed feedback in
# display advertising", KDD 2014), here cut off at four days. Its median is a day where x = e^(-24 h / scale)
# solves x + x² + x³ = 1, which 39.4 h does.
WINDOW_MS = 4 * DAY_MS
DELAY_SCALE_MS = 39.4 * HOUR_MS
# Until then events were collected: all windows are over but those of the log's last three hours.
COLLECTED_AFTER_MS = WINDOW_MS - 3 * HOUR_MS
COLLECTED_UNTIL_MS = MIDNIGHT_MS + DAYS * DAY_MS + COLLECTED_AFTER_MS

EVENTS = ("cart", "purchase")
# Chances that a buyer and another who clicked lay the item in their cart, that an item is bought from the
# search page, whose impressions this log does not hold, and that an event is delivered twice.
CART_OF_BUYER, CART_OF_OTHER, SEARCHED, DELIVERED_TWICE = 0.8, 0.15, 0.002, 0.01
CART_MS = HOUR_MS // 2
SEARCH_REQUESTS = 10**12
# Numbers of the table of uniforms that an impression takes, and ids of events that it may have.
DRAWS, IDS = 8, 4


@dataclass(frozen=True)
class Orders:
    """Events, one entry each, in the order of their impressions; codes as in the catalogs and EVENTS."""

    event_id: np.ndarray
    request: np.ndarray  # as the log numbers them
    user: np.ndarray
    item: np.ndarray
    event: np.ndarray
    time_ms: np.ndarray
    pieces: np.ndarray  # 0 of a cart

    def take(self, entries: np.ndarray) -> "Orders":
        return Orders(**{f.name: getattr(self, f.name)[entries] for f in fields(self)})


@dataclass(frozen=True)
class Collected:
    """How many events of a block there are.

    Attributes:
      cart, purchase: that follow an impression.
      search: purchases that follow none of the log's.
      repeats: delivered again.
      late: that happened after the events were collected, and so are not there.
    """

    cart: int = 0
    purchase: int = 0
    search: int = 0
    repeats: int = 0
    late: int = 0

    def __add__(self, other: "Collected") -> "Collected":
        return Collected(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def delays(luck: np.ndarray) -> np.ndarray:
    """Milliseconds from impression to purchase, int64 [rows] below WINDOW_MS, of uniforms in [0, 1)."""
    within = -math.expm1(-WINDOW_MS / DELAY_SCALE_MS)
    return np.minimum(-DELAY_SCALE_MS * np.log1p(-luck * within), WINDOW_MS - 1).astype(np.int64)


def share_followed(age_ms: np.ndarray) -> np.ndarray:
    """The share of an impression's purchases that have happened once it is so old: their distribution."""
    age = np.clip(age_ms, 0, WINDOW_MS)
    return np.expm1(-age / DELAY_SCALE_MS) / math.expm1(-WINDOW_MS / DELAY_SCALE_MS)


def draw_orders(
    seed: int, day: Day, shown: Block, labels: Labels, first_row: int, until: int = COLLECTED_UNTIL_MS
) -> tuple[Orders, Collected]:
    """Events of a block; those of an impression depend on its place in its day alone.

    Args:
      first_row: the log's number of the block's first impression.
      until: milliseconds until which events were collected.
    """
    luck = uniforms(seed, Stream.ORDERS, day.index, first_row - day.first_row, len(shown.user), DRAWS).T
    wait, more, cart, cart_wait, search, search_wait, twice, _ = luck
    bought = labels.click & labels.purchase
    after = delays(wait)
    carted = labels.click & (cart < np.where(bought, CART_OF_BUYER, CART_OF_OTHER))
    # a buyer's cart comes before the purchase
    cart_after = (cart_wait * np.where(bought, np.minimum(after, CART_MS), CART_MS)).astype(np.int64)
    pieces = 1 + (more < 0.15).astype(np.int64) + (more < 0.04)
    number = first_row + np.arange(len(shown.user))
    request = day.first_request + shown.request
    drawn = (  # which impressions, what, how long after, request, pieces
        (carted, 0, cart_after, request, 0 * pieces),
        (bought, 1, after, request, pieces),
        (search < SEARCHED, 1, delays(search_wait), SEARCH_REQUESTS + number, pieces),
    )
    kinds = [
        Orders(
            event_id=number * IDS + kind,
            request=asked,
            user=shown.user,
            item=shown.item,
            event=np.full(len(number), what),
            time_ms=shown.time_ms + later,
            pieces=count,
        ).take(np.flatnonzero(which))
        for kind, (which, what, later, asked, count) in enumerate(drawn)
    ]
    events = Orders(**{f.name: np.concatenate([getattr(k, f.name) for k in kinds]) for f in fields(Orders)})
    events = events.take(np.argsort(events.event_id))
    there = events.take(np.flatnonzero(events.time_ms <= until))
    again = twice[there.event_id // IDS - first_row] < DELIVERED_TWICE
    counts = Collected(
        *np.bincount(there.event_id % IDS, minlength=len(kinds)).tolist(),
        repeats=int(again.sum()),
        late=len(events.event_id) - len(there.event_id),
    )
    return there.take(np.repeat(np.arange(len(again)), 1 + again)), counts
