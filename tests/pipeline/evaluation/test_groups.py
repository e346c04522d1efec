import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from pipeline.evaluation.groups import (
    GAUC_TERMS,
    REQUEST_TERMS,
    gauc_entries,
    request_entries,
    sorted_groups,
)

ROWS = st.lists(
    st.tuples(
        st.integers(0, 4), st.booleans(), st.integers(0, 3), st.sampled_from([1.0, 2.5]), st.booleans()
    ),
    min_size=1,
    max_size=40,
)


def columns(rows):
    group, positive, score, weight, special = (np.array(column) for column in zip(*rows, strict=True))
    slices = np.stack([np.zeros(len(rows), int), np.where(special, 1, -1)], axis=1)
    return group.astype(np.uint64), positive, score / 3.0, weight, slices


def sums(rows, terms, entries):
    group, positive, score, weight, slices = columns(rows)
    total = np.zeros(2 * terms)
    for groups in sorted_groups(group, score, slices):
        at, cells, values = entries(groups, positive, weight)
        assert (group[at] > 0).all()
        total += np.bincount(cells, values, minlength=len(total))
    return total.reshape(2, terms)


def in_groups(rows, slice_id):
    """The rows of each group in a slice; group 0 is none."""
    group, positive, score, weight, slices = columns(rows)
    for g in range(1, 5):
        at = (group == g) & (slices == slice_id).any(axis=1)
        if at.any():
            yield positive[at], score[at], weight[at]


@settings(deadline=None)
@given(ROWS)
def test_gauc_equals_scikit_learn_within_groups(rows):
    found = sums(rows, GAUC_TERMS, gauc_entries)
    for slice_id in (0, 1):
        expected = np.zeros(GAUC_TERMS)
        for y, s, w in in_groups(rows, slice_id):
            if len(set(y)) == 2:
                expected += [w.sum() * roc_auc_score(y, s, sample_weight=w), w.sum(), 1]
        assert found[slice_id] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 4))
def test_requests_equal_the_mean_over_all_orders_of_ties(rows, k):
    rows = rows[:16]
    found = sums(rows, REQUEST_TERMS, lambda *args: request_entries(*args, k))
    for slice_id in (0, 1):
        expected = np.zeros(REQUEST_TERMS)
        for y, s, w in in_groups(rows, slice_id):
            if y.any() and len(y) <= 6:
                orders = [
                    y[list(o)]
                    for o in itertools.permutations(range(len(y)))
                    if (np.diff(s[list(o)]) <= 0).all()
                ]
                rank = np.mean([1 / (1 + o.argmax()) for o in orders])
                recall = np.mean([o[:k].sum() / y.sum() for o in orders])
                ndcg = ndcg_score([y], [s], k=k) if len(y) > 1 else 1.0
                expected += w.mean() * np.array([ndcg, rank, recall, 1.0])
            elif y.any():
                return
        assert found[slice_id] == pytest.approx(expected, abs=1e-9)


def test_hand_computed():
    # One request, ranked relevant, not, relevant; another of one relevant row among two that tie.
    rows = [(1, True, 3, 1.0, False), (1, False, 2, 1.0, False), (1, True, 1, 1.0, False)]
    rows += [(2, True, 1, 1.0, False), (2, False, 1, 1.0, False)]
    ndcg, mrr, recall, weight = sums(rows, REQUEST_TERMS, lambda *args: request_entries(*args, 2))[0]
    second = 1 / np.log2(3)
    assert ndcg == pytest.approx(1 / (1 + second) + (1 + second) / 2)
    assert (mrr, recall, weight) == pytest.approx((1 + 0.75, 0.5 + 1.0, 2.0))


def test_no_group_is_no_row():
    rows = [(0, True, 1, 1.0, True)] * 3
    assert not sums(rows, GAUC_TERMS, gauc_entries).any()
