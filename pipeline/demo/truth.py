"""What really makes a click: the effects behind every propensity of the demo's world."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from pipeline.demo import words
from pipeline.demo.catalogs import CONTENT_DIMENSIONS, Items, Users
from pipeline.demo.draws import Stream, generator
from pipeline.demo.impressions import HOUR_WEIGHTS, SURFACE_WEIGHTS, Block
from pipeline.demo.relations import Relation

TASKS = ("click", "like", "purchase", "watch")
# Examination falls as position^-exponent (the position-based model, Joachims et al., KDD 2017).
EXAMINATION_EXPONENT = 0.25

# Share of the variance of a taste (of an effect) that the catalog's columns explain.
USER_TASTE_KNOWN, ITEM_TASTE_KNOWN, EFFECT_KNOWN = 0.3, 0.3, 0.5
# Correlation of an entity's effects over tasks, through what they share.
EFFECT_SHARED = 0.6


def examination(position: np.ndarray) -> np.ndarray:
    """Chance that the item at a position (from 1) is looked at at all."""
    return position.astype(np.float64) ** -EXAMINATION_EXPONENT


@dataclass(frozen=True)
class Truth:
    """Effects in logits; K taste directions, T = len(TASKS)."""

    user_effect: np.ndarray  # [users, T]
    item_effect: np.ndarray  # [items, T]
    context_effect: np.ndarray  # [surfaces, devices, 24 hours, T]
    user_taste: np.ndarray  # [users, K]
    item_taste: np.ndarray  # [items, K]
    interests: np.ndarray  # [users, categories], centred over the traffic
    thrift: np.ndarray  # [users]
    dearness: np.ndarray  # [items]
    haste: np.ndarray  # [devices]
    length: np.ndarray  # [items]
    user_content: np.ndarray  # [users, CONTENT_DIMENSIONS]: times the world's content effect
    item_content: np.ndarray  # [items, CONTENT_DIMENSIONS]
    category: np.ndarray  # [items]
    duration: np.ndarray  # [items], seconds
    intercept: np.ndarray  # [T]
    relation: Relation


@dataclass(frozen=True)
class Propensities:
    """Chances of a block's impressions; purchase and watch are given a click."""

    click: np.ndarray
    like: np.ndarray
    purchase: np.ndarray
    watch_seconds: np.ndarray  # expected


def _standard(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and variance 1 over the traffic."""
    centred = values - shares @ values
    return centred / np.sqrt(shares @ centred**2)


def _mix(known: np.ndarray, own: np.ndarray, share: float, traffic: np.ndarray) -> np.ndarray:
    """What the catalog explains (`share` of the variance) and what only the id does."""
    return _standard(
        math.sqrt(share) * _standard(known, traffic) + math.sqrt(1 - share) * _standard(own, traffic), traffic
    )


def _related(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Normal [rows, T] whose columns correlate by EFFECT_SHARED."""
    shared, own = rng.normal(size=(rows, 1)), rng.normal(size=(rows, len(TASKS)))
    return math.sqrt(EFFECT_SHARED) * shared + math.sqrt(1 - EFFECT_SHARED) * own


def _user_effect(rng: np.random.Generator, users: Users, relation: Relation) -> np.ndarray:
    known = (
        _related(rng, len(words.SEGMENTS))[users.segment]
        + _related(rng, len(words.COUNTRIES))[users.country]
        + ((users.age - 37) / 13)[:, None] * _related(rng, 1)
    )
    mixed = _mix(known, _related(rng, len(users.ids)), EFFECT_KNOWN, users.activity)
    return relation.user * mixed[:, relation.effects]


def _item_effect(rng: np.random.Generator, items: Items, relation: Relation) -> np.ndarray:
    known = (
        _related(rng, len(words.SUBCATEGORY_NAMES))[items.subcategory]
        + _related(rng, len(words.BRANDS))[items.brand]
        - (items.published / (200 * 86400))[:, None] * 0.5
    )
    mixed = _mix(known, _related(rng, len(items.ids)), EFFECT_KNOWN, items.exposure)
    return relation.item * mixed[:, relation.effects]


def _context_effect(rng: np.random.Generator, relation: Relation) -> np.ndarray:
    surface = _related(rng, len(words.SURFACES))[:, None, None]
    device = _related(rng, len(words.DEVICES))[None, :, None]
    # The hour acts as one smooth daily wave a task.
    phase = 2 * math.pi * (np.arange(24)[:, None] / 24 - rng.random(len(TASKS)))
    effect = surface + device + np.cos(phase)[None, None]
    weights = np.broadcast_to(
        SURFACE_WEIGHTS[:, None, None] * HOUR_WEIGHTS / len(words.DEVICES), effect.shape[:3]
    ).ravel()
    flat = _standard(effect.reshape(-1, len(TASKS)), weights / weights.sum())
    return relation.context * flat.reshape(effect.shape)[..., relation.effects]


def build_truth(seed: int, users: Users, items: Items, content_effect: float, relation: Relation) -> Truth:
    """The world's effects but for their intercepts (0), which need traffic: see `calibrate`."""
    rng = generator(seed, Stream.TASTE)
    directions = relation.directions.shape[1]
    # Users and items speak of categories in the same directions: that is what an interest is.
    category = rng.normal(size=(len(words.CATEGORY_NAMES), directions))
    subcategory = np.repeat(category, words.SUBCATEGORIES_PER_CATEGORY, axis=0)
    subcategory = subcategory + 0.8 * rng.normal(size=subcategory.shape)
    user_known = (
        users.interests @ category / np.sqrt(users.interests.sum(axis=1, keepdims=True))
        + 0.7 * rng.normal(size=(len(words.SEGMENTS), directions))[users.segment]
        + 0.7 * rng.normal(size=(len(words.COUNTRIES), directions))[users.country]
        + 0.4 * ((users.age - 37) / 13)[:, None] * rng.normal(size=directions)
    )
    brand = rng.normal(size=(len(words.BRANDS), directions))
    item_known = subcategory[items.subcategory] + 0.6 * brand[items.brand]
    young = -(users.age - 37) / 13
    content = generator(seed, Stream.USER_CONTENT).normal(size=(len(users.ids), CONTENT_DIMENSIONS))
    return Truth(
        user_effect=_user_effect(rng, users, relation),
        item_effect=_item_effect(rng, items, relation),
        context_effect=_context_effect(rng, relation),
        user_taste=_mix(user_known, rng.normal(size=user_known.shape), USER_TASTE_KNOWN, users.activity),
        item_taste=_mix(item_known, rng.normal(size=item_known.shape), ITEM_TASTE_KNOWN, items.exposure),
        interests=_standard(users.interests.astype(np.float64), users.activity),
        thrift=_standard(0.8 * young + 0.6 * rng.normal(size=len(young)), users.activity),
        dearness=_standard(np.log(items.price), items.exposure),
        haste=np.array((1.0, 0.0, -1.0)),
        length=_standard(np.log(items.duration), items.exposure),
        user_content=content_effect * _standard(content, users.activity) / math.sqrt(CONTENT_DIMENSIONS),
        item_content=_standard(items.content, items.exposure),
        category=items.category,
        duration=items.duration.astype(np.float64),
        intercept=np.zeros(len(TASKS)),
        relation=relation,
    )


def logits(truth: Truth, block: Block) -> np.ndarray:
    """Float [rows, T]: the log-odds of each task for an item that was looked at."""
    user, item, relation = block.user, block.item, truth.relation
    directions = relation.directions * relation.taste[:, None]
    taste = (truth.user_taste[user] * truth.item_taste[item]) @ directions.T
    interest = truth.interests[user, truth.category[item]]
    thrift = -truth.thrift[user] * truth.dearness[item]
    haste = -truth.haste[block.device] * truth.length[item]
    content = np.einsum("rc,rc->r", truth.user_content[user], truth.item_content[item])
    taste += truth.intercept
    taste += truth.user_effect[user]
    taste += truth.item_effect[item]
    taste += truth.context_effect[block.surface, block.device, block.hour]
    for effect, strength in (
        (interest, relation.interest),
        (thrift, relation.thrift),
        (haste, relation.haste),
        (content, relation.content),
    ):
        taste += effect[:, None] * strength
    return taste


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def propensities(truth: Truth, block: Block) -> Propensities:
    """The chances that draw the labels."""
    chance = _sigmoid(logits(truth, block))
    seen = examination(block.position)
    return Propensities(
        click=seen * chance[:, 0],
        like=seen * chance[:, 1],
        purchase=chance[:, 2],
        watch_seconds=truth.duration[block.item] * chance[:, 3],
    )


def calibrate(truth: Truth, pilot: Block) -> Truth:
    """The same world with the intercepts that give its rates on the pilot's traffic, by bisection."""
    raw = np.asfortranarray(logits(truth, pilot))
    seen = examination(pilot.position)
    everyone = np.ones(len(seen))
    intercept = np.zeros(len(TASKS))
    scale, weight = seen, everyone
    for task in range(len(TASKS)):
        low, high = -20.0, 20.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            rate = weight @ (scale * _sigmoid(raw[:, task] + middle)) / weight.sum()
            low, high = (middle, high) if rate < truth.relation.rates[task] else (low, middle)
        intercept[task] = (low + high) / 2
        if TASKS[task] == "like":  # what follows is counted among clicks only
            scale, weight = everyone, seen * _sigmoid(raw[:, 0] + intercept[0])
    return dataclasses.replace(truth, intercept=intercept)
