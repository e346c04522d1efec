"""How the tasks' tastes relate: what one task's labels can teach, or cost, a model of another."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Relation:
    """What each task's log-odds are made of: standard deviations in logits, (T,) in the order of `TASKS`.

    Attributes:
      user, item: what is peculiar to a user, to an item.
      context: surface, device and hour.
      taste: the product of a user's and an item's taste, along the task's directions.
      interest: the item's category being among the user's interests.
      thrift: young users and cheap items.
      haste: phones and short items.
      content: what titles and pictures show, times the world's content effect.
      directions: (T, K) unit vectors; tasks whose directions are orthogonal have tastes in common with none.
      rates: (T,) share of impressions clicked and liked, of clicks bought, and of the duration of what was
        clicked that is watched.
      effects: (T,) which of the drawn effects of users, items and contexts a task has: tasks with the same
        number have the same.
    """

    user: np.ndarray
    item: np.ndarray
    context: np.ndarray
    taste: np.ndarray
    interest: np.ndarray
    thrift: np.ndarray
    haste: np.ndarray
    content: np.ndarray
    directions: np.ndarray
    rates: np.ndarray
    effects: np.ndarray


def _unit(rows: tuple[tuple[float, ...], ...]) -> np.ndarray:
    found = np.array(rows)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


_NONE, _OWN = np.zeros(4), np.arange(4)

# Every task follows the same fourteen directions of taste, each with an emphasis of its own: related, never
# equal. So many directions because few of them are learned by any wide network that sees the two ids;
# fourteen need the product of the two embeddings (Rendle et al., "Neural collaborative filtering vs. matrix
# factorization revisited", RecSys 2020).
RELATED = Relation(
    user=np.array((0.40, 0.40, 0.40, 0.30)),
    item=np.array((0.50, 0.55, 0.55, 0.30)),
    context=np.array((0.20, 0.15, 0.25, 0.15)),
    taste=np.array((2.50, 2.40, 1.20, 0.60)),
    interest=np.array((0.30, 0.35, 0.20, 0.20)),
    thrift=np.array((0.25, 0.05, 0.70, 0.0)),
    haste=np.array((0.20, 0.10, 0.0, 0.30)),
    content=np.array((1.0, 1.0, 0.6, 0.4)),
    directions=_unit(
        (
            (1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8),
            (0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 1.2, 0.8, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2),
            (1.2, 0.8, 1.2, 0.8, 1.2, 0.8, 1.2, 0.8, 1.2, 0.8, 1.2, 0.8, 1.2, 0.8),
            (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        )
    ),
    rates=np.array((0.30, 0.10, 0.12, 0.45)),
    effects=_OWN,
)

RELATIONS: dict[str, Relation] = {
    "related": RELATED,
    # all tasks are one but for how often: likes are few, and are learned from the clicks
    "synergy": Relation(
        user=np.full(4, 0.4),
        item=np.full(4, 0.5),
        context=_NONE,
        taste=np.full(4, 2.5),
        interest=_NONE,
        thrift=_NONE,
        haste=_NONE,
        content=_NONE,
        directions=_unit(((1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),) * 4),
        rates=np.array((0.30, 0.03, 0.12, 0.45)),
        effects=np.zeros(4, np.int64),
    ),
    # each task wants another product of the same user and item, clicks most: they take what there is
    "conflict": Relation(
        user=_NONE,
        item=_NONE,
        context=_NONE,
        taste=np.array((4.0, 1.6, 1.6, 0.6)),
        interest=_NONE,
        thrift=_NONE,
        haste=_NONE,
        content=_NONE,
        directions=_unit(
            (
                (1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                (0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0),
                (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0),
                (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1),
            )
        ),
        rates=RELATED.rates,
        effects=_OWN,
    ),
    # each task turns on something else: click on who, like on what, purchase on where and when, watch on
    # device and length
    "independent": Relation(
        user=np.array((1.5, 0.0, 0.0, 0.0)),
        item=np.array((0.0, 1.5, 0.0, 0.0)),
        context=np.array((0.0, 0.0, 1.2, 0.0)),
        taste=_NONE,
        interest=_NONE,
        thrift=_NONE,
        haste=np.array((0.0, 0.0, 0.0, 1.0)),
        content=_NONE,
        directions=RELATED.directions,
        rates=RELATED.rates,
        effects=_OWN,
    ),
}
