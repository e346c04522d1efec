"""Kept order within requests, against SciPy request by request and against counting by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pipeline.evaluation import partitions
from pipeline.evaluation.engine import Bootstrap
from pipeline.evaluation.rankings import RANKING_TERMS, measure_rankings, ranking_entries
from pipeline.evaluation.records import ScoreFiles, key_hashes
from pipeline.evaluation.replicates import poisson_counts
from pipeline.evaluation.slicing import Slices

ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=40
)


def by_hand(ours, theirs, k):
    """rho, whether the request has an order, overlap, whether it is longer than k."""
    constant = [len(set(x)) == 1 for x in (ours, theirs)]
    rho = 0.0 if any(constant) else spearmanr(ours, theirs).statistic
    shares = []
    for x in (ours, theirs):
        at = np.sort(x)[::-1][min(k, len(x)) - 1]
        tied = x == at
        shares.append(np.where(x > at, 1.0, np.where(tied, (k - (x > at).sum()) / tied.sum(), 0.0)))
    longer = len(ours) > k
    return rho, not all(constant), np.minimum(*shares).sum() / k if longer else 0.0, longer


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 4))
def test_requests_equal_scipy_and_counting(rows, k):
    request, ours, theirs, special = (np.array(column) for column in zip(*rows, strict=True))
    slices = np.stack([np.zeros(len(rows), int), np.where(special, 1, -1)], axis=1)
    at, cells, values = ranking_entries(request.astype(np.uint64), ours / 3.0, theirs / 7.0, slices, k)
    assert (request[at] > 0).all()
    found = np.bincount(cells, values, minlength=2 * RANKING_TERMS).reshape(2, RANKING_TERMS)
    for slice_id in (0, 1):
        expected = np.zeros(RANKING_TERMS)
        for g in range(1, 5):
            inside = (request == g) & (slices == slice_id).any(axis=1)
            if inside.any():
                expected += by_hand(ours[inside], theirs[inside], k)
        assert found[slice_id] == pytest.approx(expected, abs=1e-9)


def columns(n=3000, users=60, seed=0):
    rng = np.random.default_rng(seed)
    user, ours = rng.integers(0, users, n), rng.normal(size=n)
    stars = rng.dirichlet(np.ones(3), n)
    return {
        "role/user": np.char.add("u", user.astype(str)),
        "role/request": user * 1000 + rng.integers(0, 6, n),
        "slice/tab": rng.integers(0, 2, n),
        "click/prediction": ours,
        "click/baseline": ours + rng.normal(size=n),
        "same/prediction": np.round(ours),
        "same/baseline": np.round(ours) * 2 - 7,
        "stars/prediction": pa.FixedSizeListArray.from_arrays(pa.array(stars.ravel()), 3),
        "stars/baseline": pa.FixedSizeListArray.from_arrays(pa.array((stars**2).ravel()), 3),
        "gone/prediction": ours,
        "gone/baseline": np.where(np.arange(n) < 4, np.nan, ours),
    }


def run(folder, found, k=3):
    folder.mkdir()
    for i, rows in enumerate(np.array_split(np.arange(len(found["click/prediction"])), 3)):
        pq.write_table(pa.table(found).take(rows), folder / f"{i}.parquet")
    slices = Slices((("tab",),), ((("0",), ("1",)),))
    tasks = ["click", "same", "stars", "gone"]
    return measure_rankings(ScoreFiles(folder), tasks, "role/user" in found, slices, Bootstrap(20), k)


def test_every_slice_and_replicate(tmp_path, monkeypatch):
    monkeypatch.setattr(partitions, "ROWS_A_PART", 700)
    table = columns()
    found = run(tmp_path / "scores", table)
    units = key_hashes(pa.array(table["role/user"]))
    stars = [np.stack(table[f"stars/{m}"].to_pylist()) @ [0, 1, 2] for m in ("prediction", "baseline")]
    scores = {"click": (table["click/prediction"], table["click/baseline"]), "stars": stars}
    for task, (ours, theirs) in scores.items():
        for slice_id, inside in enumerate((np.ones(3000, bool), table["slice/tab"] == 0)):
            requests = np.where(inside, table["role/request"], -1)
            by_request = {
                g: by_hand(ours[requests == g], theirs[requests == g], 3) for g in set(requests) - {-1}
            }
            drawn = {g: poisson_counts(units[requests == g][:1], 20)[0, 4] for g in by_request}
            for column, drawn_times in ((0, dict.fromkeys(by_request, 1)), (5, drawn)):
                rho, ordered, shared, longer = sum(
                    drawn_times[g] * np.array(terms, float) for g, terms in by_request.items()
                )
                metrics = {n: of[slice_id, column] for n, of in found[task].metrics.items()}
                expected = {"rank_correlation": rho / ordered, "top_k_overlap": shared / longer}
                assert metrics == pytest.approx(expected, abs=1e-9)
            assert found[task].examples[slice_id] == inside.sum()


def test_the_same_order_is_kept_whole_and_what_is_no_number_is_told(tmp_path):
    found = run(tmp_path / "scores", columns())
    for metric in ("rank_correlation", "top_k_overlap"):
        assert found["same"].metrics[metric] == pytest.approx(1.0, abs=1e-12)
        assert np.isnan(found["gone"].metrics[metric]).all()
    assert found["gone"].fault == "the scores of 4 rows are not finite numbers"
    assert found["same"].fault is None


def test_without_users_requests_are_drawn_and_rows_without_a_request_do_not_count(tmp_path):
    table = columns()
    del table["role/user"]
    table["role/request"] = pa.array(table["role/request"], mask=np.arange(3000) % 3 == 0)
    found = run(tmp_path / "scores", table)["click"]
    assert found.examples[0] == 2000
    assert found.metrics["rank_correlation"][0].std() > 0
