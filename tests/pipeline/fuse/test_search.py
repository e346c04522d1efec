"""The search on requests whose best weights are known."""

import numpy as np
import pytest

from pipeline.fuse.front import front
from pipeline.fuse.objective import Objective
from pipeline.fuse.orders import Orders, Rows
from pipeline.fuse.search import NOW, gain_elsewhere, search
from pipeline.recipe.searches import Fuse

ONES = np.ones(2)


def orders(pairs, users=None):
    """Requests of two rows: the first has the gain. A pair is both rows' columns."""
    z = np.array(pairs, float).reshape(-1, 2)
    request = np.repeat(np.arange(1, len(pairs) + 1, dtype=np.uint64), 2)
    units = request if users is None else np.repeat(np.array(users, np.uint64), 2)
    return Orders(
        Rows(z, request, units), np.tile([1.0, 0.0], len(pairs)), np.ones(len(z)), "gauc_request", 1
    )


def ahead(low):
    """The first row is ahead where w0 > low * w1."""
    return [(1, 0), (0, low)]


def behind(high):
    """The first row is ahead where w0 < high * w1."""
    return [(0, high), (1, 0)]


# one more request is in order the nearer w0 / w1 is to between 2 and 2.02
NARROW = [ahead(t) for t in (0.5, 1.0, 1.5, 1.9, 2.0)] + [behind(t) for t in (2.02, 2.1, 2.5, 3.0, 5.0)]


def test_the_weights_found_are_in_the_narrow_range_that_orders_all_requests():
    objective = Objective(Fuse(maximize={"buy": 1}), {"buy": orders(NARROW)})
    found = search(objective, ONES, ONES, 400, 1)
    w0, w1 = found.points[found.chosen]
    assert 2.0 < w0 / w1 < 2.02
    assert found.metrics[0, found.chosen, 0] == 1.0 and found.metrics[0, NOW, 0] == 0.65
    assert w0 + w1 == pytest.approx(1, abs=1e-3)


def test_columns_of_other_scales_are_searched_alike():
    thousandth = [[(a, b * 1000) for a, b in pair] for pair in NARROW]
    objective = Objective(Fuse(maximize={"buy": 1}), {"buy": orders(thousandth)})
    found = search(objective, ONES, np.array([1.0, 1000.0]), 400, 1)
    w0, w1 = found.points[found.chosen]
    assert 2000 < w0 / w1 < 2020


def opposed(**wanted):
    """Each task wants as much of its own column: of three thresholds one has those the other has not."""
    thresholds = (0.5, 1.1, 2.0)
    return Objective(
        Fuse(**wanted),
        {"buy": orders([ahead(t) for t in thresholds]), "like": orders([behind(t) for t in thresholds])},
    )


def test_the_front_of_two_opposed_tasks_is_all_ways_to_share_three_requests():
    found = search(opposed(maximize={"buy": 1, "like": 1}), ONES, ONES, 200, 1)
    shown = found.metrics[0][front(found.metrics[0])] * 3
    np.testing.assert_allclose(shown, [(3, 0), (2, 1), (1, 2), (0, 3)], atol=1e-12)


@pytest.mark.parametrize(
    ("bound", "low", "high"),
    [
        ({"lower": 0.6}, 0.5, 1.1),  # two of three requests for like
        ({"lower": 0.3}, 1.1, 2.0),
        ({"max_drop": 0.4}, 1.1, 2.0),  # one request, of the two that equal weights give
    ],
)
def test_a_bound_is_kept_and_no_more_than_kept(bound, low, high):
    objective = opposed(maximize={"buy": 1}, bounds=[{"task": "like", **bound}])
    found = search(objective, ONES, ONES, 200, 1)
    w0, w1 = found.points[found.chosen]
    assert low <= w0 / w1 <= high
    assert objective.shortfall(found.metrics[0, found.chosen], found.metrics[0, NOW]) == 0


def test_where_no_weights_keep_the_bounds_the_nearest_is_found():
    wanted = {
        "maximize": {"buy": 1},
        "bounds": [{"task": "like", "lower": 0.6}, {"task": "buy", "lower": 0.9}],
    }
    objective = opposed(**wanted)
    found = search(objective, ONES, ONES, 200, 1)
    best = found.metrics[0, found.chosen]
    short = objective.shortfall(found.metrics[0], found.metrics[0, NOW])
    assert short[found.chosen] == short.min() > 0 and best.sum() == pytest.approx(1)


def test_a_task_that_counts_against_stays_so():
    # only a negative weight of the second column orders this
    objective = Objective(Fuse(maximize={"buy": 1}), {"buy": orders([[(1, 0), (1, 1)], ahead(0.5)])})
    found = search(objective, np.array([1.0, -1.0]), ONES, 100, 1)
    assert found.metrics[0, found.chosen, 0] == 1.0
    assert (found.points[:, 1] <= 0).all() and (found.points[:, 0] >= 0).all()


def test_nothing_better_leaves_the_score_as_it_is():
    objective = Objective(Fuse(maximize={"buy": 1}), {"buy": orders([ahead(0.5)])})
    assert search(objective, np.array([3.0, 2.0]), ONES, 100, 1).chosen == NOW


def test_the_same_seed_finds_the_same_and_another_tries_others():
    objective = opposed(maximize={"buy": 1, "like": 2})
    one, two, other = (search(objective, ONES, ONES, 100, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.points, two.points)
    np.testing.assert_array_equal(one.metrics, two.metrics)
    assert len(one.points) == 101 and (one.points != other.points).any()


def test_a_gain_of_noise_alone_is_none_on_other_users():
    here, elsewhere = [], []
    for seed in range(20):
        z = np.random.default_rng(seed).random((300, 2, 2))
        objective = Objective(Fuse(maximize={"buy": 1}), {"buy": orders(z)})
        found = search(objective, ONES, ONES, 40, 1)
        here.append(found.metrics[0, found.chosen, 0] - found.metrics[0, NOW, 0])
        elsewhere.append(gain_elsewhere(objective, found))
    assert np.mean(here) > 0.01 and abs(np.mean(elsewhere)) < np.mean(here) / 2


def test_a_user_is_in_one_half_with_all_requests():
    one = [7] * 10  # of one user: a half has them all, and the other nothing
    objective = Objective(
        Fuse(maximize={"buy": 1}), {"buy": orders([ahead(1.5)] * 6 + [behind(1.5)] * 4, one)}
    )
    whole, *halves = objective.metrics(np.array([[2.0, 1.0]]))[:, 0, 0]
    assert whole == 0.6 and sorted(map(str, halves)) == ["0.6", "nan"]
    assert gain_elsewhere(objective, search(objective, ONES, ONES, 20, 1)) is None


def test_the_interval_of_the_bootstrap_covers_the_share_of_requests():
    objective = Objective(Fuse(maximize={"buy": 1}), {"buy": orders([ahead(1.5)] * 60 + [behind(1.5)] * 40)})
    draws = objective.replicates(np.array([[2.0, 1.0], [1.0, 2.0]]), 400)
    np.testing.assert_allclose(draws[0], [0.6, 0.4])
    np.testing.assert_allclose(draws.sum(axis=1), 1)  # the same draws for both
    assert draws[1:, 0].std() == pytest.approx(np.sqrt(0.6 * 0.4 / 100), rel=0.15)
