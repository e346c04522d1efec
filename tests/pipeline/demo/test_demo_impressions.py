import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.demo.impressions import (
    DAY_MS,
    DAYS,
    FEWEST_ROWS_A_DAY,
    HOUR_WEIGHTS,
    LONGEST,
    MIDNIGHT_MS,
    SHORTEST,
    plan,
    request_sizes,
    without_repeats,
)
from pipeline.demo.world import build_world


@given(rows=st.integers(SHORTEST, 5000), seed=st.integers(0, 2**40), day=st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_request_sizes_add_up_and_stay_in_bounds(rows, seed, day):
    sizes = request_sizes(seed, day, rows)
    assert sizes.sum() == rows
    assert sizes.min() >= SHORTEST and sizes.max() <= LONGEST


@given(rows=st.integers(DAYS * FEWEST_ROWS_A_DAY, 20_000), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_days_follow_each_other_without_gap_or_overlap(rows, seed):
    row = request = 0
    for day in plan(seed, rows):
        assert (day.first_row, day.first_request) == (row, request)
        row, request = row + int(day.sizes.sum()), request + len(day.sizes)
    assert row == rows


@given(
    st.lists(st.lists(st.integers(0, 29), min_size=LONGEST, max_size=LONGEST), min_size=1, max_size=5),
    st.integers(30, 40),
)
def test_repeats_move_on_and_others_stay(rows, count):
    items = np.array(rows)
    distinct = without_repeats(items, count)
    assert all(len(set(row)) == LONGEST for row in distinct.tolist())
    assert distinct.min() >= 0 and distinct.max() < count
    unique = np.arange(LONGEST)[None, ::-1]
    np.testing.assert_array_equal(without_repeats(unique, count), unique)


def test_repeats_by_hand():
    np.testing.assert_array_equal(without_repeats(np.array([[4, 4, 1, 4]]), 9), [[4, 5, 1, 6]])
    # the end of the catalog pushes back
    np.testing.assert_array_equal(without_repeats(np.array([[8, 8, 8]]), 9), [[6, 7, 8]])


@pytest.fixture(scope="module")
def world():
    return build_world(60_000, 3)


def test_a_day_is_the_same_in_any_chunks(world):
    requests = len(world.days[2].sizes)
    whole = world.block(2, 0, requests)
    for cuts in ([0, 1, 2, requests], [0, requests // 2, requests], [*range(0, requests, 37), requests]):
        parts = [world.block(2, first, last) for first, last in zip(cuts, cuts[1:])]
        for field in dataclasses.fields(whole):
            joined = np.concatenate([getattr(part, field.name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, field.name))


def test_requests_hold_one_user_one_time_and_distinct_items_in_positions_1_to_n(world):
    day = world.days[0]
    shown = world.block(0, 0, len(day.sizes))
    start = 0
    for number, size in enumerate(day.sizes.tolist()):
        rows = slice(start, start + size)
        assert set(shown.request[rows].tolist()) == {number}
        for constant in (shown.user, shown.time_ms, shown.device, shown.surface):
            assert len(set(constant[rows].tolist())) == 1
        assert len(set(shown.item[rows].tolist())) == size
        assert shown.position[rows].tolist() == list(range(1, size + 1))
        start += size


def test_times_rise_within_their_day_and_follow_the_hours(world):
    hours = np.zeros(24)
    for day in world.days:
        shown = world.block(day.index, 0, len(day.sizes))
        assert (np.diff(shown.time_ms) >= 0).all()
        assert shown.time_ms.min() >= MIDNIGHT_MS + day.index * DAY_MS
        assert shown.time_ms.max() < MIDNIGHT_MS + (day.index + 1) * DAY_MS
        hours += np.bincount(shown.hour, minlength=24)
    np.testing.assert_allclose(hours / hours.sum(), HOUR_WEIGHTS / HOUR_WEIGHTS.sum(), atol=0.004)


def test_traffic_follows_activity_and_exposure(world):
    blocks = [world.block(day.index, 0, len(day.sizes)) for day in world.days]
    item = np.concatenate([shown.item for shown in blocks])
    seen = np.bincount(item, minlength=len(world.items.ids)) / len(item)
    assert np.corrcoef(seen, world.items.exposure)[0, 1] > 0.9
    user = np.concatenate([shown.user for shown in blocks])
    active = np.bincount(user, minlength=len(world.users.ids)) / len(user)
    assert np.corrcoef(active, world.users.activity)[0, 1] > 0.85
