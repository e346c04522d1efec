import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from pipeline.evaluation.row_sums import BinaryTerms, RegressionTerms, equal_mass_edges


def world(seed, n, tied):
    """Labels, skewed or tied probabilities and weights."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 4, n)
    p = np.round(p, 1) if tied else p
    labels = (rng.random(n) < np.maximum(p, 0.05)).astype(float)
    return labels, p, rng.choice([0.5, 1.0, 3.0], n)


def values(terms, labels, predictions, weights):
    sums = terms.sums(labels, predictions, weights)
    return {name: float(formula(sums)) for name, formula in terms.metrics.items()}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(5, 300), st.booleans())
def test_binary_metrics_equal_scikit_learn(seed, n, tied):
    labels, p, weights = world(seed, n, tied)
    labels[:2] = 0, 1
    found = values(BinaryTerms(equal_mass_edges(p)), labels, p, weights)
    loss = metrics.log_loss(labels, np.clip(p, 1e-7, 1 - 1e-7), sample_weight=weights)
    mean = np.average(labels, weights=weights)
    assert found["logloss"] == pytest.approx(loss, abs=1e-9)
    assert found["normalized_entropy"] == pytest.approx(
        loss / -(mean * np.log(mean) + (1 - mean) * np.log(1 - mean)), abs=1e-9
    )
    assert found["calibration"] == pytest.approx((weights @ p) / (weights @ labels), abs=1e-9)
    assert found["mean_label"] == pytest.approx(mean, abs=1e-12)
    assert found["examples"] == n and found["weighted_examples"] == pytest.approx(weights.sum())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_ece_and_reliability_equal_scikit_learns_curve(seed):
    # So many rows that no edge is a score, which rounding would put on either side.
    labels, p, _ = world(seed, 399, tied=False)
    edges = equal_mass_edges(p)
    terms = BinaryTerms(edges)
    true, predicted = calibration_curve(labels, p, n_bins=15, strategy="quantile")
    share = np.bincount(np.searchsorted(edges, p), minlength=15) / 399
    sums = terms.sums(labels, p, np.ones(399))
    weight, label, score = terms.bins.of(sums)
    assert label / weight == pytest.approx(true, abs=1e-9)
    assert score / weight == pytest.approx(predicted, abs=1e-9)
    assert terms.metrics["ece"](sums) == pytest.approx((share * np.abs(true - predicted)).sum(), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 200), st.sampled_from([0.0, 1e6]), st.sampled_from([0.1, 0.9]))
def test_regression_metrics_equal_scikit_learn(seed, n, level, quantile):
    rng = np.random.default_rng(seed)
    labels = level + rng.lognormal(size=n)
    predictions, weights = labels + rng.normal(size=n), rng.choice([0.5, 1.0, 3.0], n)
    found = values(RegressionTerms(np.median(labels), quantile), labels, predictions, weights)
    expected = {
        "mae": metrics.mean_absolute_error,
        "rmse": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "quantile_loss": lambda y, p, sample_weight: metrics.mean_pinball_loss(
            y, p, sample_weight=sample_weight, alpha=quantile
        ),
    }
    for name, of in expected.items():
        assert found[name] == pytest.approx(
            of(labels, predictions, sample_weight=weights), rel=1e-8, abs=1e-8
        )
    assert found["mean_label"] == pytest.approx(np.average(labels, weights=weights), rel=1e-12)
    assert found["calibration"] == pytest.approx((weights @ predictions) / (weights @ labels), rel=1e-9)


def test_hand_computed():
    found = values(BinaryTerms((0.4,)), [1.0, 0.0], [0.5, 0.25], [3.0, 1.0])
    assert found["logloss"] == pytest.approx((3 * np.log(2) - np.log(0.75)) / 4)
    assert found["calibration"] == pytest.approx((3 * 0.5 + 0.25) / 3)
    assert found["ece"] == pytest.approx((3 * 0.5 + 0.25) / 4)
    assert (found["mean_label"], found["examples"], found["weighted_examples"]) == (0.75, 2, 4)


def test_rows_of_weight_zero_are_not_looked_at():
    ours = values(BinaryTerms(), [1.0, np.nan], [0.9, np.inf], [1.0, 0.0])
    assert ours == pytest.approx(values(BinaryTerms(), [1.0], [0.9], [1.0]), nan_ok=True)


def test_certain_and_wrong_costs_a_finite_log_loss():
    assert values(BinaryTerms(), [1.0], [0.0], [1.0])["logloss"] == pytest.approx(-np.log(1e-7))


def test_what_has_no_answer_is_nan():
    nothing = values(BinaryTerms((0.5,)), [], [], [])
    assert nothing["examples"] == 0 and np.isnan([nothing["logloss"], nothing["ece"]]).all()
    one_class = values(BinaryTerms(), [0.0, 0.0], [0.2, 0.1], [1.0, 1.0])
    assert np.isnan([one_class["calibration"], one_class["normalized_entropy"]]).all()
    assert one_class["logloss"] > 0
    assert np.isnan(values(RegressionTerms(0.0), [7.1] * 3, [1.0, 2.0, 3.0], [1.0] * 3)["r2"])


def test_sums_may_be_split():
    labels, p, weights = world(3, 200, tied=True)
    terms = BinaryTerms(equal_mass_edges(p))
    parts = [terms.sums(labels[i::3], p[i::3], weights[i::3]) for i in range(3)]
    assert sum(parts) == pytest.approx(terms.sums(labels, p, weights), abs=1e-9)


@pytest.mark.parametrize("scores", [np.zeros(100), np.array([]), np.array([0.3])])
def test_edges_of_scores_that_hardly_differ(scores):
    edges = equal_mass_edges(scores)
    assert len(edges) <= 1
