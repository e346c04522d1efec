import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from pipeline.evaluation.auc import RankedScores, auc
from pipeline.evaluation.bootstrap import (
    AucStatistic,
    GaucStatistic,
    bootstrap,
    percentile_interval,
    poisson_counts,
)
from pipeline.evaluation.gauc import grouped_auc


def world(seed, users=300, rows=3000, noise=1.0):
    rng = np.random.default_rng(seed)
    of = rng.integers(0, users, rows)
    labels = rng.random(rows) < 0.3
    return of, labels, labels + noise * rng.normal(size=rows), rng


def test_counts_are_poisson_of_mean_one():
    counts = poisson_counts(pd.util.hash_array(np.arange(200_000)), replicate=3, seed=7)
    share = np.bincount(counts.astype(int), minlength=5)[:5] / len(counts)
    expected = np.exp(-1) / np.array([1, 1, 2, 6, 24])
    # Four standard errors of a share.
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(counts))


def test_counts_depend_on_the_unit_alone():
    hashes = pd.util.hash_array(np.arange(100))
    order = np.random.default_rng(0).permutation(100)
    assert (poisson_counts(hashes, 1, 0)[order] == poisson_counts(hashes[order], 1, 0)).all()
    assert (poisson_counts(hashes, 1, 0) != poisson_counts(hashes, 2, 0)).any()
    assert (poisson_counts(hashes, 1, 0) != poisson_counts(hashes, 1, 1)).any()


def test_auc_replicate_is_the_auc_of_reweighted_rows():
    of, labels, scores, rng = world(0)
    weights = rng.integers(1, 4, len(of)).astype(float)
    statistic = AucStatistic(RankedScores(labels, scores, weights), of)
    counts = poisson_counts(pd.util.hash_array(np.arange(300)), 0, 0)
    assert statistic.replicate(counts) == pytest.approx(auc(labels, scores, weights * counts[of]), abs=1e-12)


def test_gauc_replicate_is_the_gauc_of_reweighted_rows():
    of, labels, scores, _ = world(1)
    counts = poisson_counts(pd.util.hash_array(np.arange(300)), 5, 0)
    ours = GaucStatistic(grouped_auc(labels, scores, of)).replicate(counts)
    assert ours == pytest.approx(grouped_auc(labels, scores, of, counts[of]).gauc(), abs=1e-12)


def test_gauc_spread_has_its_closed_form():
    # A ratio of Poisson-weighted sums varies, to first order, by sum W^2 (A - mean)^2 / (sum W)^2.
    of, labels, scores, _ = world(2)
    grouped = grouped_auc(labels, scores, of)
    values = bootstrap([GaucStatistic(grouped)], pd.util.hash_array(np.arange(300)), 2000)[:, 0]
    w = grouped.impressions / grouped.impressions.sum()
    expected = np.sqrt((w**2 * (grouped.aucs - grouped.gauc()) ** 2).sum())
    assert values.std() == pytest.approx(expected, rel=0.1)


def test_the_same_twice_and_whatever_the_order_of_rows():
    of, labels, scores, rng = world(3)
    hashes = pd.util.hash_array(np.arange(300))
    order = rng.permutation(len(of))

    def run(o):
        ranked = RankedScores(labels[o], scores[o], np.ones(len(o)))
        return bootstrap([AucStatistic(ranked, of[o])], hashes, 20, seed=4)

    plain = np.arange(len(of))
    assert (run(plain) == run(plain)).all()
    assert np.allclose(run(plain), run(order), atol=1e-12)


def test_interval_covers_the_true_auc():
    # Scores N(1,1) against N(0,1): AUC = Phi(1/sqrt 2) exactly (Hanley & McNeil).
    truth, covered = ndtr(1 / np.sqrt(2)), 0
    hashes = pd.util.hash_array(np.arange(300))
    for seed in range(100):
        of, labels, scores, _ = world(100 + seed, rows=600)
        values = bootstrap([AucStatistic(RankedScores(labels, scores, np.ones(600)), of)], hashes, 100)
        interval = percentile_interval(values[:, 0])
        covered += interval.low <= truth <= interval.high
    assert 87 <= covered <= 100


def test_interval_of_the_difference_drops_shared_noise():
    of, labels, scores, rng = world(5)
    hashes = pd.util.hash_array(np.arange(300))
    nearly = scores + 0.01 * rng.normal(size=len(of))
    both = [AucStatistic(RankedScores(labels, s, np.ones(len(of))), of) for s in (scores, nearly)]
    values = bootstrap(both, hashes, 200)
    one, difference = percentile_interval(values[:, 0]), percentile_interval(values[:, 0] - values[:, 1])
    assert difference.high - difference.low < 0.1 * (one.high - one.low)


def test_no_interval_where_replicates_often_fail():
    values = np.r_[np.full(20, np.nan), np.linspace(0, 1, 80)]
    assert percentile_interval(values) is None
    assert percentile_interval(np.array([])) is None
    interval = percentile_interval(np.linspace(0, 1, 101))
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
