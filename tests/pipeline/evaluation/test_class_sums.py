import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.evaluation.class_sums import ClassTerms


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(10, 200))
def test_equal_scikit_learn(seed, classes, n):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n).astype(float)
    labels[:2] = 0, classes - 1
    p, weights = rng.dirichlet(np.ones(classes), n), rng.choice([0.5, 1.0, 3.0], n)
    chosen = p.argmax(axis=1)
    terms = ClassTerms(classes, ordinal=True)
    sums = terms.sums(labels, p, weights)
    every = list(range(classes))
    loss = metrics.log_loss(labels, p, sample_weight=weights, labels=every)
    shares = np.bincount(labels.astype(int), weights, classes) / weights.sum()
    expected = {
        "accuracy": metrics.accuracy_score(labels, chosen, sample_weight=weights),
        "macro_f1": metrics.f1_score(labels, chosen, average="macro", sample_weight=weights, zero_division=0),
        "quadratic_kappa": metrics.cohen_kappa_score(
            labels, chosen, weights="quadratic", sample_weight=weights, labels=every
        ),
        "logloss": loss,
        "normalized_entropy": loss / -(shares[shares > 0] * np.log(shares[shares > 0])).sum(),
        "mae": np.average(np.abs(p @ every - labels), weights=weights),
        "ece": abs(np.average(p.max(axis=1) - (chosen == labels), weights=weights)),
        "examples": n,
        "weighted_examples": weights.sum(),
    }
    found = {name: formula(sums) for name, formula in terms.metrics.items()}
    assert found == pytest.approx(expected, abs=1e-9)


def test_classes_without_an_order_have_no_kappa():
    assert not {"quadratic_kappa", "mae"} & set(ClassTerms(3).metrics)


def test_what_has_no_answer_is_nan():
    terms = ClassTerms(3, ordinal=True)
    nothing = terms.sums(np.empty(0), np.empty((0, 3)), np.empty(0))
    assert all(np.isnan(f(nothing)) for name, f in terms.metrics.items() if "examples" not in name)
    one = terms.sums(np.zeros(2), np.array([[0.8, 0.1, 0.1]] * 2), np.ones(2))
    assert np.isnan(terms.metrics["quadratic_kappa"](one)) and terms.metrics["accuracy"](one) == 1
