import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mtl_models import Task, duration_quantiles, smear
from mtl_models.kinds import KINDS

REGRESSION = KINDS["regression"]


def there_and_back(task, labels, side=None):
    target = REGRESSION.target(task, np.asarray(labels, "float32"), side)
    return np.asarray(REGRESSION.prediction(task, target, side))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_mse"])
def test_predictions_are_in_the_labels_units(loss):
    labels = np.array([0, 0.5, 3, 1000.0])
    np.testing.assert_allclose(
        there_and_back(Task("t", "regression", loss, offset=2.0, scale=0.5), labels), labels, rtol=1e-5
    )


def test_odds_are_the_label():
    task = Task("watch", "regression", "weighted_logistic", scale=20.0)
    np.testing.assert_allclose(REGRESSION.prediction(task, np.log(np.float32([0.5, 3]))), [10, 60], rtol=1e-6)
    assert REGRESSION.initial_bias(task) == 0  # the mean, where scale is it
    assert np.isfinite(REGRESSION.prediction(task, np.float32([-1e4, 1e4]))).all()


def test_ziln_predicts_the_mean_and_starts_from_the_shares():
    task = Task("spend", "regression", "ziln", scale=5.0, shares=(0.9, 0.1))
    at = np.float32([REGRESSION.initial_bias(task)])
    mean = 0.1 * stats.lognorm.mean(1.0, scale=5.0)
    np.testing.assert_allclose(REGRESSION.prediction(task, at), [mean], rtol=1e-5)
    np.testing.assert_allclose(REGRESSION.target(task, np.float32([0, 10])), [0, 2])
    assert np.isfinite(REGRESSION.prediction(task, np.float32([[1e4, 1e4, 1e4]]))).all()


def test_smearing_turns_medians_into_means():
    rng = np.random.default_rng(0)
    log = rng.normal(2, 1, 50_000)  # what is known of a row
    labels = np.expm1(log + rng.normal(0, 0.8, 50_000)).clip(0)
    task = Task("watch", "regression", "log_mse")
    medians = np.asarray(REGRESSION.prediction(task, log.astype("float32")))
    weights = rng.integers(0, 3, 50_000)
    fitted = smear(task, labels, medians, weights)
    assert fitted.smearing == pytest.approx(np.exp(0.8**2 / 2), rel=0.03)
    means = np.asarray(REGRESSION.prediction(fitted, log.astype("float32")))
    # the log of 1 + y is between both; where labels were cut at 0 they are a little above
    assert medians.mean() < 0.8 * labels.mean()
    assert np.average(means, weights=weights) == pytest.approx(np.average(labels, weights=weights), rel=0.01)
    # again, from predictions with the factor
    assert smear(fitted, labels, means, weights).smearing == pytest.approx(fitted.smearing, rel=0.01)
    assert smear(task, labels, medians, np.zeros(50_000)) is task
    half, unknown = np.arange(50_000) % 2, np.where(np.arange(50_000) % 2, labels, np.nan)
    assert smear(task, unknown, medians, half) == smear(task, labels[1::2], medians[1::2])
    with pytest.raises(ValueError, match="its loss is mse"):
        smear(Task("t", "regression"), labels, medians)


def seconds(least, most):
    # TensorFlow takes numbers below 1e-38 for 0, and NumPy does not
    return st.floats(least, most, width=32, allow_subnormal=False)


rows = st.lists(
    st.tuples(
        st.one_of(st.just(float("nan")), st.integers(0, 4).map(float), seconds(0, 1e4)),
        st.one_of(st.integers(0, 3).map(float), seconds(0, 1e5)),
        st.sampled_from([0.0, 1.0, 2.5]),
    ),
    min_size=24,  # of one size: some backends compile every shape
    max_size=24,
).filter(lambda rows: any(weight for _, _, weight in rows))


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([1, 4]), st.sampled_from([2, 11]))
def test_quantiles_by_duration(rows, groups, levels):
    durations, watch, weights = (np.float32(column) for column in zip(*rows))
    found = duration_quantiles(durations, watch, weights, groups, levels)
    task = Task("watch", "regression", "duration_quantile", **found)
    assert Task.from_config(task.get_config()) == task
    side, known = {"duration": durations}, weights > 0
    edges = np.array(found["duration_edges"])
    group = np.where(np.isnan(durations), len(edges) + 1, np.searchsorted(edges, durations))
    spaced = np.linspace(0, 1, levels)
    for number, table in enumerate(found["watch_quantiles"]):
        members = known & ((group == number) if number <= len(edges) else True)
        if members.any():
            np.testing.assert_array_equal(
                table, np.quantile(watch[members], spaced, weights=weights[members], method="inverted_cdf")
            )
    # a label is given back, within its table
    tables = np.array(found["watch_quantiles"])[group]
    held = np.clip(watch, tables[:, 0], tables[:, -1])
    error = np.abs(there_and_back(task, watch, side) - held)
    assert (error <= 2e-6 * tables[:, -1]).all()  # float32, of a level in a table that may end high
    target = np.asarray(REGRESSION.target(task, watch, side))
    assert (np.abs(target) <= np.sqrt(3) + 1e-5).all()
    # of one group, a longer label has no lower quantile
    for number in set(group):
        ordered = target[group == number][np.argsort(watch[group == number], kind="stable")]
        assert (np.diff(ordered) >= -1e-6).all()


def test_quantiles_take_duration_out_of_the_target():
    rng = np.random.default_rng(0)
    durations = rng.exponential(60, 20_000)
    watch = durations * rng.beta(2, 3, 20_000)
    task = Task("watch", "regression", "duration_quantile", **duration_quantiles(durations, watch))
    target = np.asarray(
        REGRESSION.target(task, watch.astype("float32"), {"duration": durations.astype("float32")})
    )
    assert np.corrcoef(durations, watch)[0, 1] > 0.7
    assert abs(np.corrcoef(durations, target)[0, 1]) < 0.03
    assert abs(target.mean()) < 0.02 and target.std() == pytest.approx(1, abs=0.02)


def test_rows_without_a_duration_are_measured_by_all():
    found = duration_quantiles([10, 10, 60, 60], [1, 9, 5, 50], groups=2, levels=2)
    assert found == {"duration_edges": (10.0,), "watch_quantiles": ((1, 9), (5, 50), (1, 50))}
    nobody = duration_quantiles([np.nan] * 3, [1, 2, 3], levels=3)
    assert nobody == {"duration_edges": (), "watch_quantiles": ((1, 2, 3),) * 2}
    with pytest.raises(ValueError, match="needs a row with weight"):
        duration_quantiles([1.0], [1.0], [0.0])
