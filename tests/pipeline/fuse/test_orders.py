"""What orders are worth, against the evaluation's own metrics and scikit-learn's."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from pipeline.evaluation.groups import (
    GAUC_TERMS,
    REQUEST_TERMS,
    gauc_entries,
    request_entries,
    sorted_groups,
)
from pipeline.fuse.orders import Orders, Rows

ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),  # request, 0 for none
        st.booleans(),
        st.integers(-2, 2),
        st.integers(-2, 2),
        st.sampled_from([1.0, 2.5]),
    ),
    min_size=1,
    max_size=40,
)
POINTS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.25, -0.75], [0.0, 0.0]])


def evaluated(request, positive, score, weight, terms, entries):
    total = np.zeros(terms)
    for groups in sorted_groups(request, score, np.zeros((len(score), 1), int)):
        _, cells, values = entries(groups, positive, weight)
        total += np.bincount(cells, values, minlength=terms)
    return total


@settings(deadline=None)
@given(ROWS, st.integers(1, 4))
def test_ties_weights_and_all_are_those_of_the_evaluation(rows, k):
    request, positive, a, b, weight = (np.array(column) for column in zip(*rows, strict=True))
    request, z = request.astype(np.uint64), np.stack([a, b], axis=1) / 4.0
    found = {
        metric: Orders(Rows(z, request, request), positive.astype(float), weight, metric, k)
        for metric in ("ndcg_at_k", "recall_at_k", "gauc_request")
    }
    sums = {metric: of.weights @ of.worths(POINTS) for metric, of in found.items()}
    for i, point in enumerate(POINTS):
        score = z @ point
        ndcg, _, recall, total = evaluated(
            request, positive, score, weight, REQUEST_TERMS, lambda g, p, w: request_entries(g, p, w, k)
        )
        assert sums["ndcg_at_k"][i] == pytest.approx(ndcg, abs=1e-9)
        assert sums["recall_at_k"][i] == pytest.approx(recall, abs=1e-9)
        assert found["ndcg_at_k"].weights.sum() == pytest.approx(total, abs=1e-9)
        worth, of, groups = evaluated(request, positive, score, weight, GAUC_TERMS, gauc_entries)
        assert sums["gauc_request"][i] == pytest.approx(worth, abs=1e-9)
        assert found["gauc_request"].weights.sum() == pytest.approx(of, abs=1e-9)
        assert found["gauc_request"].open == len(found["gauc_request"].weights) == groups


@pytest.mark.parametrize("size", [2, 7, 300])
def test_gains_that_are_quantities_equal_scikit_learn(size):
    draw = np.random.default_rng(size)
    gains, z = draw.exponential(size=(3, size)) * (draw.random((3, size)) < 0.5), draw.random((3, size, 2))
    gains[:, 0] += 1.0
    request = np.repeat(np.arange(1, 4, dtype=np.uint64), size)
    orders = Orders(
        Rows(z.reshape(-1, 2), request, request), gains.ravel(), np.ones(3 * size), "ndcg_at_k", 10
    )
    found = orders.worths(POINTS[:4])
    for i, j in itertools.product(range(3), range(4)):
        expected = ndcg_score(gains[i : i + 1], (z[i] @ POINTS[j])[None], k=10, ignore_ties=False)
        assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_what_has_one_order_counts_as_it_is_and_is_not_open():
    request = np.array([1, 2, 2, 3, 3, 4, 4, 0], np.uint64)
    gains = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    z = np.arange(16.0).reshape(8, 2)
    orders = Orders(Rows(z, request, request), gains, np.ones(8), "ndcg_at_k", 10)
    assert (orders.requests, len(orders.weights), orders.open) == (4, 3, 1)
    np.testing.assert_allclose(orders.worths(POINTS[:1])[:, 0], [1.0, 1.0, 1 / np.log2(3)])


def test_no_rows_at_all():
    nothing = np.zeros(0, np.uint64)
    for metric in ("ndcg_at_k", "recall_at_k", "gauc_request"):
        orders = Orders(Rows(np.zeros((0, 2)), nothing, nothing), np.zeros(0), np.zeros(0), metric, 10)
        assert (orders.requests, orders.open, orders.worths(POINTS).shape) == (0, 0, (0, 5))
