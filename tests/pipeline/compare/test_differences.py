"""Intervals of differences: closed forms, and verdicts."""

import numpy as np
import pytest
from scipy import stats

from pipeline.compare.differences import difference


def draws(seeds: int, replicates: int, mean: float, of_rows: float, of_seeds: float, generator) -> np.ndarray:
    """(seeds, 1 + replicates): seeds differ by `of_seeds`; replicates, alike in all seeds, by `of_rows`."""
    by_seed = mean + of_seeds * generator.normal(size=(seeds, 1))
    by_row = of_rows * generator.normal(size=replicates)
    return np.concatenate([by_seed, by_seed + by_row], axis=1)


def test_the_interval_of_seeds_alone_is_students():
    by_seed = np.array([0.01, 0.03, 0.02])
    ours = np.repeat(by_seed[:, None], 51, axis=1)
    found = difference(ours, np.zeros_like(ours), 1)
    half = stats.t.ppf(0.975, 2) * by_seed.std(ddof=1) / np.sqrt(3)
    assert found.value == pytest.approx(0.02)
    assert (found.low, found.high) == (pytest.approx(0.02 - half), pytest.approx(0.02 + half))
    assert found.by_seed == pytest.approx(tuple(by_seed))


def test_the_interval_of_rows_alone_is_that_of_their_replicates():
    generator = np.random.default_rng(0)
    ours = draws(3, 200, 0.5, 0.1, 0.0, generator)
    found = difference(ours, np.zeros_like(ours), 1)
    half = stats.t.ppf(0.975, 199) * ours[0, 1:].std(ddof=1)
    assert found.high - found.low == pytest.approx(2 * half)
    assert found.sd_seeds == 0.0


@pytest.mark.parametrize(
    ("mean", "direction", "verdict"),
    [(0.1, 1, "helps"), (0.1, -1, "hurts"), (-0.1, 1, "hurts"), (-0.1, -1, "helps"), (0.0, 1, "cannot tell")],
)
def test_a_verdict_follows_the_interval_and_which_way_is_better(mean, direction, verdict):
    ours = draws(3, 100, mean, 0.01, 0.001, np.random.default_rng(1))
    assert difference(ours, np.zeros_like(ours), direction).verdict == verdict


def test_covers_the_truth_as_often_as_it_says():
    generator, covered = np.random.default_rng(2), 0
    for _ in range(400):
        rows = 0.02 * generator.normal()  # what the test rows that came are off by
        ours = draws(3, 100, 0.3 + rows, 0.02, 0.03, generator)
        found = difference(ours, np.zeros_like(ours), 1)
        covered += found.low <= 0.3 <= found.high
    assert 0.92 <= covered / 400 <= 1.0


def test_what_is_undefined_with_a_seed_cannot_be_told():
    ours = np.full((2, 11), 0.7)
    ours[1, 0] = np.nan
    found = difference(ours, np.zeros_like(ours), 1)
    assert (found.value, found.low, found.verdict) == (None, None, "cannot tell")
    assert found.by_seed == (pytest.approx(0.7), None)


def test_needs_two_seeds_and_two_replicates():
    for shape in ((1, 11), (2, 2)):
        with pytest.raises(ValueError, match="needs two of each"):
            difference(np.zeros(shape), np.zeros(shape), 1)
