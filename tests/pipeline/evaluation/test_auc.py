import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.auc import auc

rows = st.lists(
    st.tuples(st.booleans(), st.integers(-3, 3), st.integers(1, 5)), min_size=2, max_size=60
).filter(lambda rows: len({label for label, _, _ in rows}) == 2)


def test_hand_computed_with_a_tie():
    # Pairs (positive, negative): 0.9>0.5 wins, 0.9>0.1 wins, 0.5=0.5 half, 0.5>0.1 wins: 3.5 of 4.
    assert auc(np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])) == 3.5 / 4


def test_hand_computed_with_weights():
    # The lost pair weighs 3 x 2, the won one 3 x 4.
    assert auc(np.array([1, 0, 0]), np.array([0.5, 0.9, 0.1]), np.array([3.0, 2.0, 4.0])) == 12 / 18


@given(rows)
def test_equals_sklearn_with_ties_and_weights(rows):
    labels, scores, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    assert auc(labels, scores, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )


@given(rows)
def test_a_weight_is_so_many_copies(rows):
    labels, scores, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    times = weights.astype(int)
    assert auc(labels, scores, weights) == pytest.approx(
        auc(np.repeat(labels, times), np.repeat(scores, times)), abs=1e-12
    )


@pytest.mark.parametrize("squeeze", [1.0, 1e-9, 1e-300])
def test_clustered_scores_keep_their_order(squeeze):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=5000)
    labels = rng.random(5000) < 1 / (1 + np.exp(-scores))
    assert auc(labels, scores * squeeze) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_large_weighted_equals_sklearn_to_1e_12():
    rng = np.random.default_rng(1)
    labels, scores = rng.random(100_000) < 0.02, np.round(rng.normal(size=100_000), 3)
    weights = rng.lognormal(size=100_000)
    assert abs(auc(labels, scores, weights) - roc_auc_score(labels, scores, sample_weight=weights)) < 1e-12


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_one_class_is_undefined(labels):
    assert np.isnan(auc(np.array(labels), np.zeros(len(labels))))


def test_a_class_of_weight_zero_is_not_there():
    assert np.isnan(auc(np.array([1, 0]), np.array([0.2, 0.1]), np.array([1.0, 0.0])))


def test_what_it_refuses():
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        auc(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="one length"):
        auc(np.array([0, 1]), np.array([0.5]))
