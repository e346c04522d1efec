import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from mtl_models.training import metrics


@pytest.mark.parametrize("levels", [2, 5, 10**6])
@pytest.mark.parametrize("weighted", [False, True])
def test_auc_equals_sklearn(levels, weighted):
    rng = np.random.default_rng(levels)
    labels, scores = rng.integers(0, 2, 500), rng.integers(0, levels, 500) / levels
    weights = rng.integers(0, 4, 500) * 0.5 if weighted else None
    assert metrics.auc(labels, scores, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )


def test_gauc_is_the_mean_of_each_groups_auc_by_its_rows():
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 40, 400), (rng.random(400) < 0.2).astype(int)
    scores = rng.integers(0, 6, 400)
    areas, sizes = [], []
    for g in np.unique(groups):
        i = groups == g
        if len(set(labels[i])) == 2:
            areas.append(roc_auc_score(labels[i], scores[i]))
            sizes.append(i.sum())
    assert 0 < len(areas) < 40
    assert metrics.gauc(labels, scores, groups) == pytest.approx(np.average(areas, weights=sizes), abs=1e-12)


def test_rows_without_weight_do_not_count():
    labels, scores, weights = np.array([1, 0, 0]), np.array([0.9, 0.1, 0.99]), np.array([1, 1, 0])
    assert metrics.auc(labels, scores, weights) == 1.0
    assert metrics.mae(labels, scores, weights) == pytest.approx(0.1)
    assert metrics.rmse(labels, scores, weights) == pytest.approx(0.1)
    assert metrics.logloss(labels, scores, weights) == pytest.approx(log_loss([1, 0], [0.9, 0.1]))


def test_undefined_is_none():
    assert metrics.auc([1, 1], [0.2, 0.3]) is None
    assert metrics.auc([1, 0], [0.2, 0.3], [0, 0]) is None
    assert metrics.gauc([1, 0], [0.2, 0.3], [7, 8]) is None
    assert metrics.mae([1.0], [2.0], [0.0]) is None and metrics.rmse([1.0], [2.0], [0.0]) is None


def test_weighted_median():
    assert metrics.weighted_median([5, 1, 3]) == 3
    assert metrics.weighted_median([5, 1, 3], [5, 1, 1]) == 5
