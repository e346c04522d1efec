import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.evaluation import partitions
from pipeline.evaluation.partitions import range_bounds
from pipeline.evaluation.replicates import poisson_counts, splitmix64
from pipeline.evaluation.spearman import spearman

DTYPE = np.dtype([("unit", "u8"), ("score", "f8"), ("label", "f8"), ("weight", "f8"), ("slices", "i4", (3,))])


def records(seed, n, tied):
    rng = np.random.default_rng(seed)
    rows = np.zeros(n, DTYPE)
    rows["unit"] = splitmix64(rng.integers(0, n // 10, n).astype(np.uint64))
    score = np.exp(3 * rng.normal(size=n))
    label = np.log(score) / 3 + rng.normal(size=n)
    if tied:
        score, label = (
            np.where(rng.random(n) < 0.6, 0.5, score),
            np.where(rng.random(n) < 0.4, 0, np.round(label)),
        )
    rows["score"], rows["label"], rows["weight"] = score, label, rng.integers(1, 4, n)
    rows["slices"][:, 1], rows["slices"][:, 2] = rng.integers(1, 3, n), rng.choice([-1, 3], n)
    return rows


def correlation(rows, weights):
    times = weights.astype(int)
    return spearmanr(np.repeat(rows["score"], times), np.repeat(rows["label"], times))[0]


def measured(rows, folder, parts, replicates=3):
    bounds = range_bounds(rows["score"][::3], parts), range_bounds(rows["label"][::3], parts)
    return spearman(np.array_split(rows, 4), bounds, folder, 4, replicates, 0)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("parts", [1, 5])
def test_equals_scipy_in_every_slice(tied, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(partitions, "ROWS_A_PART", 100)
    rows = records(0, 2000, tied)
    found = measured(rows, tmp_path, parts)
    for slice_id in range(4):
        of = rows[(rows["slices"] == slice_id).any(axis=1)]
        assert found[slice_id, 0] == pytest.approx(correlation(of, of["weight"]), abs=1e-9)


@pytest.mark.parametrize("tied", [False, True])
def test_replicates_are_near_those_of_reweighted_rows(tied, tmp_path):
    rows = records(1, 8000, tied)
    found = measured(rows, tmp_path, 2, replicates=60)[0]
    counts = poisson_counts(rows["unit"], 60)
    exact = np.array([correlation(rows, rows["weight"] * counts[:, i]) for i in range(60)])
    assert np.abs(found[1:] - exact).max() < 0.15 * exact.std()


def test_what_does_not_vary_has_no_correlation(tmp_path):
    rows = records(2, 500, False)
    rows["score"] = 0.1
    assert np.isnan(measured(rows, tmp_path / "constant", 2)).all()
    assert np.isnan(measured(rows[:0], tmp_path / "none", 1)).all()
