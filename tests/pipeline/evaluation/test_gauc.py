import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.gauc import grouped_auc


def by_brute_force(labels, scores, groups, weights):
    total, of_auc, used = 0.0, 0.0, 0
    for group in set(groups[groups >= 0].tolist()):
        mine = groups == group
        if len(set(labels[mine])) == 2:
            impressions = weights[mine].sum()
            of_auc += impressions * roc_auc_score(labels[mine], scores[mine], sample_weight=weights[mine])
            total, used = total + impressions, used + 1
    return (of_auc / total if total else np.nan), used, total / weights.sum()


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 4), st.integers(-1, 5), st.integers(1, 4)),
        min_size=1,
        max_size=80,
    )
)
def test_equals_brute_force(rows):
    labels, scores, groups, weights = (np.array(column) for column in zip(*rows, strict=True))
    result = grouped_auc(labels, scores.astype(float), groups, weights.astype(float))
    gauc, used, coverage = by_brute_force(labels, scores, groups, weights)
    assert result.gauc() == pytest.approx(gauc, abs=1e-12, nan_ok=True)
    assert len(result.groups) == used
    assert result.coverage == pytest.approx(coverage)


def test_hand_computed():
    # User 0: AUC 1 over 2 impressions; user 1: AUC 0 over 3; user 2 has one class only.
    result = grouped_auc(
        labels=np.array([1, 0, 0, 1, 0, 1, 1]),
        scores=np.array([0.9, 0.1, 0.9, 0.2, 0.8, 0.5, 0.6]),
        groups=np.array([0, 0, 1, 1, 1, 2, 2]),
    )
    assert result.gauc() == pytest.approx(2 / 5)
    assert result.coverage == pytest.approx(5 / 7)
    assert result.groups.tolist() == [0, 1]


def test_user_offsets_do_not_matter():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 50, 2000)
    labels, scores = rng.random(2000) < 0.3, rng.normal(size=2000)
    moved = scores + rng.normal(0, 100, 50)[groups]
    assert grouped_auc(labels, moved, groups).gauc() == pytest.approx(
        grouped_auc(labels, scores, groups).gauc(), abs=1e-12
    )


def test_no_group_with_both_classes_is_undefined():
    result = grouped_auc(np.array([1, 0]), np.array([0.5, 0.4]), np.array([0, 1]))
    assert np.isnan(result.gauc()) and result.coverage == 0.0
    assert np.isnan(grouped_auc(np.array([]), np.array([]), np.array([], int)).coverage)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores"):
        grouped_auc(np.array([1, 0]), np.array([np.inf, 0.4]), np.array([0, 0]))
