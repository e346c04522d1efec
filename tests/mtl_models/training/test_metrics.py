import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, log_loss, roc_auc_score

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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes, occurring", [(2, 2), (5, 5), (6, 3)])
def test_metrics_of_classes_equal_sklearns(classes, occurring, weighted):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, occurring, 400)
    p = rng.dirichlet(np.full(classes, 0.5), 400)
    weights = rng.integers(0, 4, 400) * 0.5 if weighted else np.ones(400)
    chosen, given = p.argmax(axis=1), {"sample_weight": weights}
    expected = {
        "accuracy": accuracy_score(labels, chosen, **given),
        "macro_f1": f1_score(labels, chosen, average="macro", **given),
        "quadratic_kappa": cohen_kappa_score(labels, chosen, weights="quadratic", **given),
        "class_logloss": log_loss(labels, np.clip(p, 1e-7, 1), labels=range(classes), **given),
        "expected_class_mae": np.average(np.abs(p @ np.arange(classes) - labels), weights=weights),
    }
    for name, value in expected.items():
        assert getattr(metrics, name)(labels, p, weights) == pytest.approx(value, abs=1e-6), name


def test_metrics_of_classes_without_rows_or_of_one_class():
    nobody = (np.zeros(3), np.eye(3), np.zeros(3))
    names = ("accuracy", "macro_f1", "quadratic_kappa", "class_logloss", "expected_class_mae")
    assert [getattr(metrics, name)(*nobody) for name in names] == [None] * 5
    alike = (np.ones(3), np.tile([0.2, 0.8], (3, 1)))
    assert metrics.quadratic_kappa(*alike) is None and metrics.accuracy(*alike) == 1
