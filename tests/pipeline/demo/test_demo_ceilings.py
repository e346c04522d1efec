import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.demo.ceilings import AmountCeiling, BinaryCeiling


def test_auc_by_hand_counts_ties_as_half():
    ceiling = BinaryCeiling()
    # pairs (positive, negative): .8 beats .2 and .5; .5 beats .2 and ties .5: 3.5 of 4
    ceiling.add(np.array([True, False, True, False]), np.array([0.8, 0.2, 0.5, 0.5]))
    assert ceiling.result() == {"examples": 4, "rate": 0.5, "auc": 0.875}


def test_auc_of_a_stream_is_the_exact_auc():
    rng = np.random.default_rng(0)
    chance = 1 / (1 + np.exp(-rng.normal(-2, 2, 50_000)))
    outcome = rng.random(50_000) < chance
    ceiling = BinaryCeiling()
    for part in np.array_split(np.arange(50_000), 7):
        ceiling.add(outcome[part], chance[part])
    assert ceiling.result()["auc"] == pytest.approx(roc_auc_score(outcome, chance), abs=2e-6)


def test_one_outcome_has_no_auc_and_nothing_has_no_rate():
    ceiling = BinaryCeiling()
    assert ceiling.result() == {"examples": 0, "rate": None, "auc": None}
    ceiling.add(np.array([True]), np.array([1.0]))
    assert ceiling.result() == {"examples": 1, "rate": 1.0, "auc": None}


def test_amounts_by_hand():
    ceiling = AmountCeiling()
    assert ceiling.result()["mae"] is None
    ceiling.add(np.array([1.0]), np.array([2.0]), np.array([0.5]))
    ceiling.add(np.array([5.0]), np.array([2.0]), np.array([4.0]))
    assert ceiling.result() == {"examples": 2, "mean": 3.0, "rmse": pytest.approx(5**0.5), "mae": 0.75}
