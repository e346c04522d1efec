"""A whole world: its catalogs, its traffic and its truth, all from (rows, seed, content effect, relation,
new items, days)."""

from dataclasses import dataclass

from pipeline.demo.catalogs import Items, Users, catalog_sizes, draw_items, draw_users
from pipeline.demo.impressions import (
    DAYS,
    FEWEST_ROWS_A_DAY,
    LONGEST,
    Block,
    Day,
    block,
    plan,
    request_sizes,
)
from pipeline.demo.relations import RELATIONS
from pipeline.demo.truth import Propensities, Truth, build_truth, calibrate, propensities

PILOT_ROWS = 100_000


@dataclass(frozen=True)
class World:
    seed: int
    users: Users
    items: Items
    days: list[Day]
    truth: Truth

    def block(self, day: int, first: int, last: int) -> Block:
        """Impressions of requests `first` .. `last` of a day."""
        return block(self.seed, self.users, self.items, self.days[day], first, last)

    def propensities(self, shown: Block) -> Propensities:
        """The chances that draw a block's labels."""
        return propensities(self.truth, shown)


def build_world(
    rows: int,
    seed: int,
    content_effect: float = 0.0,
    relation: str = "related",
    new_items: float = 0.0,
    days: int = DAYS,
) -> World:
    """Draws a world whose log holds exactly `rows` impressions.

    Raises: ValueError for fewer than ten days, too few rows, a negative seed, a negative content effect, an
      unknown relation, or a share of new items that is none or leaves fewer than a request's.
    """
    if days < DAYS:
        raise ValueError(f"days is {days}; the demo's world has {DAYS} or more")
    if rows < days * FEWEST_ROWS_A_DAY:
        raise ValueError(f"rows is {rows}; {days} days of requests need at least {days * FEWEST_ROWS_A_DAY}")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or more")
    if not content_effect >= 0:
        raise ValueError(f"content_effect is {content_effect}; it must be 0 (none) or more")
    if relation not in RELATIONS:
        raise ValueError(f"relation is '{relation}'; it must be one of {', '.join(RELATIONS)}")
    user_count, item_count = catalog_sizes(rows)
    new = round(new_items * item_count)
    if not 0 <= new_items < 1 or item_count - new < LONGEST:
        raise ValueError(
            f"new_items is {new_items}; it must be 0 or more, and leave {LONGEST} of {item_count} items"
        )
    users, items = draw_users(seed, user_count), draw_items(seed, item_count, new)
    # The pilot is the day after the log's last: the same traffic, other draws.
    after = Day(days, 0, 0, request_sizes(seed, days, PILOT_ROWS))
    pilot = block(seed, users, items, after, 0, len(after.sizes))
    truth = calibrate(build_truth(seed, users, items, content_effect, RELATIONS[relation]), pilot)
    return World(seed, users, items, plan(seed, rows, days), truth)
