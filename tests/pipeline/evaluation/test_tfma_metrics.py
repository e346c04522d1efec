import numpy as np
import pytest

from pipeline.evaluation.tfma_metrics import ADDITIVE_METRICS, AdditiveMetric, row_sums


def metrics(labels, predictions, weights):
    sums = row_sums(np.array(labels), np.array(predictions), np.array(weights))
    return {name: formula(sums) for name, formula in ADDITIVE_METRICS.items()}


def test_hand_computed():
    m = metrics([1.0, 0.0], [0.5, 0.25], [3.0, 1.0])
    assert m["logloss"] == pytest.approx((3 * np.log(2) - np.log(0.75)) / 4)
    assert m["calibration"] == pytest.approx((3 * 0.5 + 0.25) / 3)
    assert m["mae"] == pytest.approx((3 * 0.5 + 0.25) / 4)
    assert m["rmse"] == pytest.approx(np.sqrt((3 * 0.25 + 0.0625) / 4))
    assert (m["mean_label"], m["examples"], m["weighted_examples"]) == (0.75, 2, 4)


def test_rows_of_weight_zero_are_not_looked_at():
    assert metrics([1.0, np.nan], [0.5, np.inf], [1.0, 0.0]) == metrics([1.0], [0.5], [1.0])


def test_certain_and_wrong_costs_a_finite_log_loss():
    assert metrics([1.0], [0.0], [1.0])["logloss"] == pytest.approx(-np.log(1e-7))
    assert metrics([0.0], [1.0], [1.0])["logloss"] == pytest.approx(-np.log(1e-7), rel=1e-6)


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="no additive metric 'auc'; there are logloss"):
        AdditiveMetric("auc")
