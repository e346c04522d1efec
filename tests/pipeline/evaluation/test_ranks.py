"""AUC and average precision of slices and replicates against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.evaluation import partitions
from pipeline.evaluation.partitions import SortedParts, range_bounds
from pipeline.evaluation.ranks import RankSums
from pipeline.evaluation.replicates import percentile_intervals, poisson_counts, splitmix64

DTYPE = np.dtype(
    [("unit", "u8"), ("score", "f8"), ("positive", "?"), ("weight", "f8"), ("slices", "i4", (3,))]
)


def records(seed, n, users, scores):
    rng = np.random.default_rng(seed)
    found = np.zeros(n, DTYPE)
    found["unit"] = splitmix64(rng.integers(0, users, n).astype(np.uint64))
    found["positive"] = rng.random(n) < 0.3
    found["score"] = scores(rng, found["positive"])
    found["weight"] = rng.choice([0.5, 1.0, 3.0], n)
    found["slices"][:, 1] = rng.integers(1, 3, n)
    found["slices"][:, 2] = rng.choice([-1, 3], n)
    return found


def walked(folder, rows, parts, replicates=4, slices=4):
    sample = rows["score"][:: max(1, len(rows) // 200)]
    sorted_parts = SortedParts(folder, rows.dtype, "score", range_bounds(sample, parts))
    for block in np.array_split(rows, 3):
        sorted_parts.add(block)
    sums = RankSums(slices, replicates)
    for part in reversed(list(sorted_parts)):
        sums.add(part, replicates, 0)
    return sums


SCORES = {
    "smooth": lambda rng, y: rng.normal(size=len(y)) + y,
    "skewed": lambda rng, y: np.exp(8 * rng.normal(size=len(y)) + y),
    "squeezed": lambda rng, y: 0.5 + 1e-12 * (rng.normal(size=len(y)) + y),
    "tied": lambda rng, y: np.round(rng.normal(size=len(y)) + y),
    "one value for most": lambda rng, y: np.where(rng.random(len(y)) < 0.7, 0.1, rng.normal(size=len(y)) + y),
    "constant": lambda rng, y: np.zeros(len(y)),
}


@pytest.mark.parametrize("scores", SCORES)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6), n=st.integers(20, 400), parts=st.integers(1, 6))
def test_equal_scikit_learn(scores, seed, n, parts, tmp_path_factory):
    rows = records(seed, n, 30, SCORES[scores])
    sums = walked(tmp_path_factory.mktemp("parts"), rows, parts)
    counts = np.c_[np.ones(n), poisson_counts(rows["unit"], 4)]
    for slice_id in range(4):
        at = (rows["slices"] == slice_id).any(axis=1)
        for replicate in range(5):
            weights = rows["weight"] * counts[:, replicate]
            kept = at & (weights > 0)
            y, s, w = rows["positive"][kept], rows["score"][kept], weights[kept]
            auc, precision = sums.auc[slice_id, replicate], sums.average_precision[slice_id, replicate]
            if len(set(y)) == 2:
                assert auc == pytest.approx(roc_auc_score(y, s, sample_weight=w), abs=1e-10)
            else:
                assert np.isnan(auc)
            if y.any():
                assert precision == pytest.approx(average_precision_score(y, s, sample_weight=w), abs=1e-10)
            else:
                assert np.isnan(precision)


def test_many_steps_and_parts_are_one_walk(tmp_path, monkeypatch):
    rows = records(1, 5000, 300, SCORES["one value for most"])
    whole = walked(tmp_path / "whole", rows, 1)
    monkeypatch.setattr("pipeline.evaluation.ranks.STEPS", 7)
    monkeypatch.setattr(partitions, "ROWS_A_PART", 100)
    cut = walked(tmp_path / "cut", rows[np.random.default_rng(0).permutation(5000)], 40)
    assert cut.auc == pytest.approx(whole.auc, abs=1e-12)
    assert cut.average_precision == pytest.approx(whole.average_precision, abs=1e-12)


def test_intervals_cover_the_true_auc(tmp_path):
    # Scores N(1,1) against N(0,1), of which users have levels of their own: AUC = Phi(1 / sqrt 2).
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        of = rng.integers(0, 200, 1000)
        level = 0.7 * rng.normal(size=200)[of]
        rows = records(seed, 1000, 1, lambda _, y: level + np.sqrt(0.51) * rng.normal(size=len(y)) + y)
        rows["unit"], rows["weight"] = splitmix64(of.astype(np.uint64)), 1.0
        replicates = walked(tmp_path / str(seed), rows, 1, replicates=200).auc[:1, 1:]
        low, high = percentile_intervals(replicates)[0]
        covered += low <= ndtr(1 / np.sqrt(2)) <= high
    assert 86 <= covered <= 100
