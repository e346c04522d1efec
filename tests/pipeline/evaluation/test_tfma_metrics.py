import numpy as np
import pytest

from pipeline.evaluation.class_sums import ClassTerms
from pipeline.evaluation.row_sums import BinaryTerms, RegressionTerms
from pipeline.evaluation.terms import metric_names, terms_as_json, terms_from, terms_of
from pipeline.evaluation.tfma_metrics import AdditiveMetric


@pytest.mark.parametrize(
    "terms", [BinaryTerms((0.1, 0.5)), RegressionTerms(3.5, 0.9), ClassTerms(3, True, (0.4,)), BinaryTerms()]
)
def test_terms_survive_json(terms):
    assert terms_from(terms_as_json(terms)) == terms


def test_metrics_have_their_names_and_terms():
    metric = AdditiveMetric("logloss", {"candidate": terms_as_json(BinaryTerms((0.5,)))})
    sums, _ = metric.computations(model_names=["candidate"], output_names=["click"])
    assert len(sums.combiner.create_accumulator()) == BinaryTerms((0.5,)).size


def test_a_regression_is_centred_on_its_weighted_median():
    terms = terms_of("regression", np.array([1.0, 2.0, 9.0]), np.zeros(3), np.array([1.0, 1.0, 5.0]), 0.5)
    assert terms.center == 9.0
    sums = terms.sums([1.0, 2.0, 9.0], [0.0] * 3, [1.0, 1.0, 5.0])
    assert terms.constant_mae(sums) == pytest.approx((8 + 7) / 7)


def test_metrics_need_their_roles():
    assert {"gauc", "mrr", "logloss"} <= set(metric_names("binary", ["user", "request"]))
    assert not {"gauc", "mrr"} & set(metric_names("binary", ["item"]))
    with pytest.raises(KeyError):
        metric_names("survival", [])
