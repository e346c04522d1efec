"""AUC within groups of several users in replicates, against reweighted rows; what their intervals cover."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_models.training.metrics import gauc
from pipeline.evaluation import shared_groups
from pipeline.evaluation.groups import GAUC_TERMS, gauc_entries, sorted_groups
from pipeline.evaluation.replicates import Draws, percentile_intervals
from pipeline.evaluation.row_sums import ratio
from pipeline.evaluation.shared_groups import add_shared_groups, of_several_units

REPLICATES = 12
# group (0: none), user, positive, score, weight, in the second slice
ROWS = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 6), st.booleans(), st.integers(0, 5),
        st.sampled_from([1.0, 0.3, 2.5]), st.booleans(),
    ),
    min_size=1, max_size=60,
)  # fmt: skip


def measured(group, unit, positive, score, weight, slices, replicates=REPLICATES):
    """(slices, 1 + replicates) GAUC."""
    draws, count = Draws(pd.util.hash_array(unit), replicates), int(slices.max()) + 1
    sums = np.zeros((count, GAUC_TERMS, 1 + replicates))
    for groups in sorted_groups(group.astype(np.uint64), score, slices):
        shared = of_several_units(groups, draws)
        rows, cells, values = gauc_entries(groups.only(~shared), positive, weight)
        sums += draws.sums(cells, rows, values, count * GAUC_TERMS).reshape(sums.shape)
        add_shared_groups(sums, groups.only(shared), positive, weight, draws)
    return ratio(sums[:, 0], sums[:, 1])


@pytest.mark.parametrize("steps", [3, 256])
def test_replicates_are_those_of_reweighted_rows(steps, monkeypatch):
    monkeypatch.setattr(shared_groups, "STEPS", steps)

    @settings(deadline=None, max_examples=100)
    @given(ROWS)
    def holds(rows):
        group, unit, positive, score, weight, special = (np.array(c) for c in zip(*rows, strict=True))
        slices = np.stack([np.zeros(len(rows), int), np.where(special, 1, -1)], axis=1)
        found = measured(group, unit, positive, score / 3.0, weight, slices)
        drawn = Draws(pd.util.hash_array(unit), REPLICATES)
        for slice_id, of_replicates in enumerate(found):
            inside = (group > 0) & (slices == slice_id).any(axis=1)
            for replicate, value in enumerate(of_replicates):
                w = (weight * drawn.counts[drawn.codes, replicate])[inside]
                expected = gauc(positive[inside] * 1.0, score[inside] / 3.0, group[inside], w)
                assert value == pytest.approx(np.nan if expected is None else expected, abs=1e-9, nan_ok=True)

    holds()


def world(rng, users, rows_a_user=8):
    """Positions are worth something to users who differ, so that rows of a user are no independent draws."""
    unit = np.repeat(np.arange(users), rows_a_user)
    trust, mood = rng.normal(1.0, 1.0, users)[unit], rng.normal(0.0, 1.0, users)[unit]
    score = rng.normal(size=len(unit)) + 0.5 * mood
    positive = rng.random(len(unit)) < 1 / (1 + np.exp(-(trust * score - mood - 0.5)))
    position = rng.integers(1, 4, len(unit))
    return position, unit, positive, score, np.ones(len(unit)), np.zeros((len(unit), 1), int)


def test_intervals_within_positions_cover_the_truth():
    truth = measured(*world(np.random.default_rng(1), 50_000), replicates=0)[0, 0]
    covered = 0
    for seed in range(200):
        low, high = percentile_intervals(
            measured(*world(np.random.default_rng(1000 + seed), 120), replicates=200)[:, 1:]
        )[0]
        covered += low <= truth <= high
    # 95 % of 200, and four standard errors; with each position's order as it is they covered 3 %.
    assert 177 <= covered <= 200
