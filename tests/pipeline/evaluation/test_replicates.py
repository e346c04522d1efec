import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.replicates import Draws, percentile_intervals, poisson_counts, splitmix64


def units(n):
    return splitmix64(np.arange(n, dtype=np.uint64))


def test_counts_are_poisson_of_mean_one_and_apart_from_each_other():
    counts = poisson_counts(units(100_000), 9, seed=7).astype(float)
    expected = np.exp(-1) / np.array([1, 1, 2, 6, 24])
    for column in counts.T:
        share = np.bincount(column.astype(int), minlength=5)[:5] / len(counts)
        # Four standard errors of a share.
        assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(counts))
    # Four standard errors of a correlation: replicates of one hash too are independent.
    assert np.abs(np.corrcoef(counts.T) - np.eye(9)).max() < 4 / np.sqrt(len(counts))


def test_counts_depend_on_unit_replicate_and_seed_alone():
    order = np.random.default_rng(0).permutation(1000)
    counts = poisson_counts(units(1000), 10)
    assert (counts[order] == poisson_counts(units(1000)[order], 10)).all()
    assert (counts[700:702] == poisson_counts(units(1000)[700:702], 10)).all()
    assert (counts[:, :6] == poisson_counts(units(1000), 6)).all()
    assert (counts != poisson_counts(units(1000), 10, seed=1)).any()


def test_sums_by_cell_of_the_sample_and_its_replicates():
    rng = np.random.default_rng(1)
    unit = units(40)[rng.integers(0, 40, 300)]
    cells, rows, values = rng.integers(0, 5, 900), rng.integers(0, 300, 900), rng.normal(size=900)
    sums = Draws(unit, 7, seed=3).sums(cells, rows, values, 5)
    counts = np.c_[np.ones(300), poisson_counts(unit, 7, seed=3)]
    for cell in range(5):
        at = cells == cell
        assert sums[cell] == pytest.approx(values[at] @ counts[rows[at]], abs=1e-9)


def test_intervals_are_percentiles():
    replicates = np.random.default_rng(2).normal(size=(4, 50))
    replicates[1, :4] = np.nan
    replicates[2, :6] = np.nan
    replicates[3] = np.nan
    ends = percentile_intervals(replicates)
    assert ends[0] == pytest.approx(np.percentile(replicates[0], [2.5, 97.5]), abs=1e-12)
    assert ends[1] == pytest.approx(np.nanpercentile(replicates[1], [2.5, 97.5]), abs=1e-12)
    assert np.isnan(ends[2:]).all(), "more than one in ten replicates has no answer"
    assert np.isnan(percentile_intervals(np.empty((2, 0)))).all()


def test_intervals_cover_the_mean_of_users_in_clusters():
    # Each user has a level of his own: an interval that took rows for independent would be half as wide.
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        of = rng.integers(0, 150, 900)
        values = rng.normal(size=150)[of] + rng.normal(size=900)
        draws = Draws(pd.util.hash_array(of + 1000 * seed), 200)
        at = np.arange(900)
        total = draws.sums(np.zeros(900, int), at, values, 1) / draws.sums(
            np.zeros(900, int), at, np.ones(900), 1
        )
        low, high = percentile_intervals(total[:, 1:])[0]
        covered += low <= 0 <= high
    # 95 % of 200, four standard errors below and all above.
    assert 177 <= covered <= 200


def test_products_do_not_depend_on_how_many_columns_are_numbers_at_a_time(monkeypatch):
    rng = np.random.default_rng(3)
    draws = Draws(units(40)[rng.integers(0, 40, 300)], 21)
    expected = draws.counts.astype(float)
    for rows in (300, 9):  # more values than units, and fewer
        at = rng.integers(0, 300, rows)
        matrix = draws.matrix(rng.integers(0, 4, rows), at, rng.normal(size=rows), 4)
        for cells in (1 << 20, 100, 1):
            monkeypatch.setattr("pipeline.evaluation.replicates._CELLS", cells)
            assert draws.times(matrix) == pytest.approx(matrix.toarray() @ expected, abs=1e-9)
