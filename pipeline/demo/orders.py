"""What the checkout tells of impressions, hours to days later: the demo's second log."""

import math
from dataclasses import dataclass

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
COLLECTED_UNTIL_MS = MIDNIGHT_MS + DAYS * DAY_MS + WINDOW_MS - 3 * HOUR_MS

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
        return Collected(*(getattr(self, name) + getattr(other, name) for name in self.__annotations__))


def delays(luck: np.ndarray) -> np.ndarray:
    """Milliseconds from impression to purchase, int64 [rows] below WINDOW_MS, of uniforms in [0, 1)."""
    within = -math.expm1(-WINDOW_MS / DELAY_SCALE_MS)
    return np.minimum(-DELAY_SCALE_MS * np.log1p(-luck * within), WINDOW_MS - 1).astype(np.int64)


def share_followed(age_ms: np.ndarray) -> np.ndarray:
    """The share of an impression's purchases that have happened once it is so old: their distribution."""
    age = np.clip(age_ms, 0, WINDOW_MS)
    return np.expm1(-age / DELAY_SCALE_MS) / math.expm1(-WINDOW_MS / DELAY_SCALE_MS)


def draw_orders(
    seed: int, day: Day, shown: Block, labels: Labels, first_row: int
) -> tuple[Orders, Collected]:
    """Events of a block; those of an impression depend on its place in its day alone.

    Args:
      first_row: the log's number of the block's first impression.
    """
    rows = len(shown.user)
    luck = uniforms(seed, Stream.ORDERS, day.index, first_row - day.first_row, rows, DRAWS).T
    wait, pieces, carts, cart_wait, searches, search_wait, twice, _ = luck
    bought = labels.click & labels.purchase
    carted = labels.click & (carts < np.where(labels.purchase, CART_OF_BUYER, CART_OF_OTHER))
    after = delays(wait)
    cart_after = (cart_wait * np.minimum(np.where(bought, after, CART_MS), CART_MS)).astype(np.int64)
    number = first_row + np.arange(rows)
    parts = (  # impressions, event, delay, request
        (carted, 0, cart_after, day.first_request + shown.request),
        (bought, 1, after, day.first_request + shown.request),
        (searches < SEARCHED, 1, delays(search_wait), SEARCH_REQUESTS + number),
    )
    row = np.concatenate([np.flatnonzero(which) for which, *_ in parts])
    part = np.repeat(np.arange(len(parts)), [which.sum() for which, *_ in parts])
    order = np.lexsort((part, row))
    row, part = row[order], part[order]

    def of_part(values: list[np.ndarray]) -> np.ndarray:
        return np.select([part == i for i in range(len(parts))], [v[row] for v in values])

    time_ms = shown.time_ms[row] + of_part([delay for _, _, delay, _ in parts])
    event = np.array([code for _, code, _, _ in parts])[part]
    there = time_ms <= COLLECTED_UNTIL_MS
    again = there & (twice[row] < DELIVERED_TWICE)
    counts = Collected(
        *(int((there & (part == i)).sum()) for i in range(len(parts))),
        repeats=int(again.sum()),
        late=int((~there).sum()),
    )
    count = 1 + (pieces < 0.15).astype(np.int64) + (pieces < 0.04)
    delivered = np.repeat(np.flatnonzero(there), 1 + again[there])
    row, part = row[delivered], part[delivered]
    return Orders(
        event_id=number[row] * IDS + part,
        request=of_part([request for *_, request in parts]),
        user=shown.user[row],
        item=shown.item[row],
        event=event[delivered],
        time_ms=time_ms[delivered],
        pieces=np.where(event[delivered] == EVENTS.index("purchase"), count[row], 0),
    ), counts
