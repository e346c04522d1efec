import dataclasses
import math

import numpy as np
import pytest

from pipeline.demo.labels import WATCH_SHAPE, draw_labels, median_watch
from pipeline.demo.relations import RELATIONS
from pipeline.demo.truth import examination, logits
from pipeline.demo.world import build_world

ROWS = 200_000
RATES = RELATIONS["related"].rates


def whole(world):
    """(block, propensities, labels) of all ten days, joined field by field."""
    blocks = [world.block(day.index, 0, len(day.sizes)) for day in world.days]
    chances = [world.propensities(shown) for shown in blocks]
    labels = [draw_labels(shown, chance) for shown, chance in zip(blocks, chances)]

    def join(parts):
        names = [field.name for field in dataclasses.fields(parts[0])]
        return type(parts[0])(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    return join(blocks), join(chances), join(labels)


@pytest.fixture(scope="module")
def world():
    return build_world(ROWS, 11)


@pytest.fixture(scope="module")
def log(world):
    return whole(world)


def z_score(outcome, chance):
    """Distance of a sum of independent coin flips from its expectation, in standard deviations."""
    return (outcome.sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum())


@pytest.mark.parametrize("task", ["click", "like", "purchase"])
def test_labels_are_drawn_with_their_propensities(log, task):
    shown, chances, labels = log
    outcome, chance = getattr(labels, task), getattr(chances, task)
    if task == "purchase":
        outcome, chance = outcome[labels.click], chance[labels.click]
    assert abs(z_score(outcome, chance)) < 4
    for decile in np.array_split(np.argsort(chance), 10):
        assert abs(z_score(outcome[decile], chance[decile])) < 4


def test_watch_time_has_the_expected_mean_and_median(log):
    _, chances, labels = log
    ratio = labels.watch_seconds / chances.watch_seconds
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    below = labels.watch_seconds < median_watch(chances.watch_seconds)
    assert below.mean() == pytest.approx(0.5, abs=0.005)
    # a Weibull variable exceeds its scale with chance 1/e, whatever its shape
    scale = 1 / math.gamma(1 + 1 / WATCH_SHAPE)
    assert (ratio > scale).mean() == pytest.approx(math.exp(-1), abs=0.005)


def test_rates_are_as_designed(world, log):
    shown, chances, labels = log
    completion = (chances.watch_seconds / world.items.duration[shown.item])[labels.click]
    assert chances.click.mean() == pytest.approx(RATES[0], abs=0.01)
    assert chances.like.mean() == pytest.approx(RATES[1], abs=0.006)
    assert chances.purchase[labels.click].mean() == pytest.approx(RATES[2], abs=0.01)
    assert completion.mean() == pytest.approx(RATES[3], abs=0.01)


def test_examination_falls_with_position(log):
    shown, chances, labels = log
    assert (np.diff(examination(np.arange(1, 21))) < 0).all()
    assert examination(np.array([1]))[0] == 1
    rate = np.bincount(shown.position, labels.click)[1:] / np.bincount(shown.position)[1:]
    # the first ten positions are in every request; slots are filled at random, so only looking differs
    relative = rate[:10] / rate[0]
    np.testing.assert_allclose(relative, examination(np.arange(1, 11)), atol=0.04)


def test_propensities_do_not_know_the_outcome(log):
    """Likes are independent of clicks once the propensities are known: what is left has no covariance."""
    _, chances, labels = log
    product = (labels.click - chances.click) * (labels.like - chances.like)
    spread = np.sqrt((chances.click * (1 - chances.click) * chances.like * (1 - chances.like)).sum())
    assert abs(product.sum() / spread) < 4


def test_tasks_are_related_but_not_equal(world, log):
    correlation = np.corrcoef(logits(world.truth, log[0]).T)
    for other in (1, 2, 3):
        assert 0.3 < correlation[0, other] < 0.95


def test_taste_depends_on_the_pair_and_not_on_either_alone(world, log):
    """The additive part explains most of nothing: residual variance after user and item means is large."""
    shown = log[0]
    click = logits(world.truth, shown)[:, 0]
    parts = np.zeros((2, len(click)))
    for _ in range(15):
        for side, ids in enumerate((shown.user, shown.item)):
            left = click - parts[1 - side]
            parts[side] = (np.bincount(ids, left) / np.bincount(ids))[ids]
    residual = click - parts.sum(axis=0)
    assert residual.var() > 0.7 * click.var()


def test_no_content_effect_is_the_world_without_content(world, log, monkeypatch):
    shown, chances, _ = log
    loud = dataclasses.replace(RELATIONS["related"], content=np.full(4, 1e6))
    monkeypatch.setitem(RELATIONS, "related", loud)
    again = whole(build_world(ROWS, 11, content_effect=0.0))[1]
    for field in dataclasses.fields(chances):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(chances, field.name))


def test_a_content_effect_follows_content_and_keeps_traffic_and_rates(world, log):
    shown, chances, _ = log
    loud = build_world(ROWS, 11, content_effect=1.0)
    shown_loud, chances_loud, _ = whole(loud)
    np.testing.assert_array_equal(shown_loud.item, shown.item)
    np.testing.assert_array_equal(shown_loud.user, shown.user)
    assert np.abs(chances_loud.click - chances.click).mean() > 0.02
    assert chances_loud.click.mean() == pytest.approx(RATES[0], abs=0.01)
    added = logits(loud.truth, shown) - logits(world.truth, shown)
    content = np.einsum("rc,rc->r", loud.truth.user_content[shown.user], loud.truth.item_content[shown.item])
    assert np.corrcoef(added[:, 0], content)[0, 1] == pytest.approx(1)
    # one standard deviation of a click's log-odds, as promised
    assert content.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("relation", "low", "high"),
    [("synergy", 0.999, 1.0), ("conflict", -0.15, 0.15), ("independent", -0.15, 0.15)],
)
def test_a_relation_is_that_of_the_log_odds_and_keeps_traffic_and_rates(log, relation, low, high):
    planted = build_world(ROWS, 11, relation=relation)
    shown, chances, labels = whole(planted)
    np.testing.assert_array_equal(shown.item, log[0].item)
    correlation = np.corrcoef(logits(planted.truth, shown).T)
    assert (low <= correlation[np.triu_indices(4, 1)]).all() and (correlation <= high + np.eye(4)).all()
    assert chances.click.mean() == pytest.approx(RATES[0], abs=0.01)
    assert chances.like.mean() == pytest.approx(RELATIONS[relation].rates[1], abs=0.01)
    assert chances.purchase[labels.click].mean() == pytest.approx(RATES[2], abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((399, 0), "rows is 399"),
        ((1000, -1), "seed is -1"),
        ((1000, 0, -0.5), "content_effect is -0.5"),
        ((1000, 0, 0.0, "foes"), "relation is 'foes'; it must be one of related, synergy, conflict"),
    ],
)
def test_arguments_out_of_range_say_what_would_be_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_world(*arguments)
