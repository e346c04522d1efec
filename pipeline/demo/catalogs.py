"""Users and items: what a catalog says of them, and how often each is seen."""

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.demo import words
from pipeline.demo.draws import Stream, generator

FIRST_DAY = dt.date(2024, 3, 4)
ROWS_PER_USER, MOST_USERS = 500, 100_000
ROWS_PER_ITEM, MOST_ITEMS = 1250, 20_000
CONTENT_DIMENSIONS = 2


@dataclass(frozen=True)
class Users:
    """Columns of the user catalog, one entry a user; codes point into the tuples of `words`."""

    ids: np.ndarray  # str
    age: np.ndarray  # years
    segment: np.ndarray  # code
    country: np.ndarray  # code
    device: np.ndarray  # code of the device they mostly use
    interests: np.ndarray  # bool [users, categories], at least one true
    signup: np.ndarray  # days before the log's first day
    activity: np.ndarray  # share of the requests


@dataclass(frozen=True)
class Items:
    """Columns of the item catalog, one entry an item."""

    ids: np.ndarray  # str
    subcategory: np.ndarray  # code; the category is this // 4
    brand: np.ndarray  # code
    price: np.ndarray  # in euro
    duration: np.ndarray  # seconds
    published: np.ndarray  # seconds before the log's first midnight
    exposure: np.ndarray  # share of the slots
    content: np.ndarray  # float [items, CONTENT_DIMENSIONS]: what only title and picture show
    new: int = 0  # how many of the last ones are shown on the last days alone

    @property
    def category(self) -> np.ndarray:
        return self.subcategory // words.SUBCATEGORIES_PER_CATEGORY


def catalog_sizes(rows: int) -> tuple[int, int]:
    """(users, items) of a log of so many rows: proportional, so that ids stay learnable, up to a cap."""
    users = min(max(rows // ROWS_PER_USER, 50), MOST_USERS)
    items = min(max(rows // ROWS_PER_ITEM, 60), MOST_ITEMS)
    return users, items


def _fading(count: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


def draw_users(seed: int, count: int) -> Users:
    rng = generator(seed, Stream.USERS)
    categories = len(words.CATEGORY_NAMES)
    # Gumbel top-k: k distinct interests a user, likelier the more common the category.
    keys = np.log(_fading(categories, 0.4)) + rng.gumbel(size=(count, categories))
    rank = np.argsort(np.argsort(-keys, axis=1), axis=1)
    wanted = rng.choice(4, size=count, p=(0.25, 0.4, 0.25, 0.1)) + 1
    segment = rng.choice(len(words.SEGMENTS), size=count, p=(0.15, 0.35, 0.35, 0.15))
    activity = rng.lognormal(0.0, 0.5, count) * np.array((0.7, 0.8, 1.1, 1.5))[segment]
    age = np.clip(rng.normal(37, 13, count), 16, 80).astype(np.int64)
    young = age < 30
    device = np.where(
        young,
        rng.choice(len(words.DEVICES), size=count, p=(0.8, 0.08, 0.12)),
        rng.choice(len(words.DEVICES), size=count, p=(0.45, 0.2, 0.35)),
    )
    return Users(
        ids=np.array([f"u{i:05d}" for i in range(count)]),
        age=age,
        segment=segment,
        country=rng.choice(len(words.COUNTRIES), size=count, p=_fading(len(words.COUNTRIES), 0.7)),
        device=device,
        interests=rank < wanted[:, None],
        signup=rng.integers(1, 1500, count),
        activity=activity / activity.sum(),
    )


def draw_items(seed: int, count: int, new: int = 0) -> Items:
    rng = generator(seed, Stream.ITEMS)
    subcategories = len(words.SUBCATEGORY_NAMES)
    subcategory = rng.choice(subcategories, size=count, p=rng.permutation(_fading(subcategories, 0.4)))
    category = subcategory // words.SUBCATEGORIES_PER_CATEGORY
    brand = rng.choice(len(words.BRANDS), size=count, p=_fading(len(words.BRANDS), 0.5))
    dear = rng.normal(0, 0.5, len(words.CATEGORY_NAMES))[category]
    dear += rng.normal(0, 0.4, len(words.BRANDS))[brand]
    long = rng.normal(0, 0.3, len(words.CATEGORY_NAMES))[category]
    exposure = np.minimum(rng.lognormal(0.0, 0.6, count), 5.0)
    return Items(
        ids=np.array([f"i{i:05d}" for i in range(count)]),
        subcategory=subcategory,
        brand=brand,
        price=np.round(np.exp(3.0 + dear + rng.normal(0, 0.5, count)), 2),
        duration=np.clip(np.exp(4.2 + long + rng.normal(0, 0.7, count)), 6, 1800).astype(np.int64),
        published=rng.integers(3600, 400 * 86400, count),
        exposure=exposure / exposure.sum(),
        content=generator(seed, Stream.CONTENT).normal(size=(count, CONTENT_DIMENSIONS)),
        new=new,
    )


def titles(seed: int, items: Items) -> list[str]:
    """A title an item: mood (the direction of its content), noun (its subcategory), closing (nothing)."""
    rng = generator(seed, Stream.TITLES)
    turn = np.arctan2(items.content[:, 1], items.content[:, 0]) / (2 * np.pi) % 1.0
    mood = np.minimum((turn * len(words.MOODS)).astype(np.int64), len(words.MOODS) - 1)
    noun = rng.integers(0, 4, len(mood))
    closing = rng.integers(0, len(words.CLOSINGS), len(mood))
    nouns = [nouns for subs in words.CATEGORIES.values() for nouns in subs.values()]
    return [
        f"{words.MOODS[m].capitalize()} {nouns[s][n]} {words.CLOSINGS[c]}"
        for m, s, n, c in zip(mood, items.subcategory, noun, closing, strict=True)
    ]


def _write(
    path: Path, columns: dict[str, list[str]], gaps: dict[str, float], rng: np.random.Generator
) -> None:
    for name, share in gaps.items():
        lost = rng.random(len(columns[name])) < share
        columns[name] = ["" if gone else value for gone, value in zip(lost, columns[name], strict=True)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_users(path: Path, seed: int, users: Users) -> None:
    """Writes the user catalog as CSV; an empty field is a missing value, several interests join with `|`."""
    names = np.array(words.CATEGORY_NAMES)
    columns = {
        "user_id": users.ids.tolist(),
        "age": [str(age) for age in users.age],
        "segment": [words.SEGMENTS[code] for code in users.segment],
        "country": [words.COUNTRIES[code] for code in users.country],
        "primary_device": [words.DEVICES[code] for code in users.device],
        "interests": ["|".join(names[liked]) for liked in users.interests],
        "signup_date": [str(FIRST_DAY - dt.timedelta(days=int(days))) for days in users.signup],
    }
    gaps = {"age": 0.06, "country": 0.02, "primary_device": 0.03, "interests": 0.04}
    _write(path, columns, gaps, generator(seed, Stream.USER_GAPS))


def write_items(path: Path, seed: int, items: Items) -> None:
    """Writes the item catalog as CSV; an empty field is a missing value, `published_at` is ISO 8601 UTC."""
    midnight = dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC)
    columns = {
        "item_id": items.ids.tolist(),
        "title": titles(seed, items),
        "category": [words.CATEGORY_NAMES[code] for code in items.category],
        "subcategory": [words.SUBCATEGORY_NAMES[code] for code in items.subcategory],
        "brand": [words.BRANDS[code] for code in items.brand],
        "price": [f"{price:.2f}" for price in items.price],
        "duration_s": [str(seconds) for seconds in items.duration],
        "published_at": [
            (midnight - dt.timedelta(seconds=int(ago))).strftime("%Y-%m-%dT%H:%M:%SZ")
            for ago in items.published
        ],
        "picture": [f"pictures/{name}.png" for name in items.ids],
    }
    gaps = {"title": 0.01, "subcategory": 0.03, "brand": 0.06, "price": 0.05, "duration_s": 0.04}
    gaps["picture"] = 0.01
    _write(path, columns, gaps, generator(seed, Stream.ITEM_GAPS))
