import pkgutil

import numpy as np
import pytest
from keras import ops
from scipy import optimize, special, stats

import mtl_models.losses
from mtl_models import Task
from mtl_models.kinds import row_losses
from mtl_models.losses import LOSSES, weighted_mean
from mtl_models.tasks import LOSSES_BY_KIND

TASKS = {
    "classes": {"categorical_crossentropy": 4, "cumulative_logit": 4, "coral": 4},
    "units": {"categorical_crossentropy": 4, "cumulative_logit": 3, "coral": 3, "ziln": 3},
}
TABLE = {"duration_edges": (10.0, 60.0), "watch_quantiles": ((0.0, 2.0, 9.0),) * 4}


def task_of(loss):
    [kind] = [kind for kind, losses in LOSSES_BY_KIND.items() if loss in losses]
    extra = TABLE if loss == "duration_quantile" else {}
    return Task("t", kind, loss, classes=TASKS["classes"].get(loss), **extra)


def batch(loss, rows, seed=0):
    """Labels, descending outputs, weights and side inputs that fit a loss."""
    rng = np.random.default_rng(seed)
    task = task_of(loss)
    label = {
        "binary": rng.integers(0, 2, rows),
        "regression": np.where(rng.random(rows) < 0.4, 0, rng.exponential(5, rows)),
    }.get(task.kind, rng.integers(0, 4, rows))
    shape = (rows, TASKS["units"][loss]) if loss in TASKS["units"] else (rows,)
    output = (
        -np.sort(-rng.normal(0, 2, shape), axis=-1) if task.kind == "ordinal" else rng.normal(0, 2, shape)
    )
    side = {"request": rng.integers(0, 3, rows), "duration": rng.choice([5.0, 30.0, 90.0, np.nan], rows)}
    weight = rng.choice([0.0, 0.5, 2.0], rows)
    return task, label.astype("float32"), output.astype("float32"), weight.astype("float32"), side


def reference(loss, y, o):
    """Of labels and float64 outputs, in plain NumPy."""
    p = special.expit(o)
    if loss == "binary_crossentropy":
        return -np.log(np.where(y == 1, p, 1 - p))
    if loss == "focal":
        happened = np.where(y == 1, p, 1 - p)
        return -((1 - happened) ** 2) * np.log(happened)
    if loss == "weighted_logistic":
        return -y * np.log(p) - np.log(1 - p)
    if loss == "log_mse":
        return (np.log1p(y) - o) ** 2
    if loss == "categorical_crossentropy":
        return -np.log(special.softmax(o, axis=1)[np.arange(len(y)), y.astype(int)])
    above = np.hstack([np.ones((len(y), 1)), p, np.zeros((len(y), 1))]) if o.ndim == 2 else None
    if loss == "cumulative_logit":
        return -np.log(-np.diff(above, axis=1)[np.arange(len(y)), y.astype(int)])
    if loss == "coral":
        above_y = y[:, None] > np.arange(3)
        return -np.log(np.where(above_y, p, 1 - p)).sum(axis=1)
    if loss == "ziln":
        sigma = np.log1p(np.exp(o[:, 2])) + 1e-3
        density = stats.lognorm.logpdf(np.where(y > 0, y, 1), sigma, scale=np.exp(o[:, 1]))
        return np.where(y > 0, -np.log(p[:, 0]) - density, -np.log(1 - p[:, 0]))
    error = np.abs(y - o)
    return {"mse": error**2, "mae": error, "huber": np.where(error <= 1, error**2 / 2, error - 0.5)}[loss]


def test_every_loss_is_here():
    modules = {module.name for module in pkgutil.iter_modules(mtl_models.losses.__path__)}
    assert modules == {*LOSSES, "weighted_mean"}


@pytest.mark.parametrize("loss", sorted(LOSSES.keys() - {"listwise", "duration_quantile"}))
def test_equals_the_formula(loss, run):
    task, y, o, w, side = batch(loss, 200)
    found = run(lambda y, o, w, side: row_losses(task, y, o, w, side), y, o, w, side)
    np.testing.assert_allclose(found, reference(loss, y, o.astype(float)), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_of_any_size_compiled_and_finite_with_its_gradient_anywhere(loss, gradient, compiled, run):
    task, y, o, w, side = batch(loss, 60)

    def plain(o, y, w, side):
        return weighted_mean(row_losses(task, y, o, w, side), w)

    mean = compiled(plain)
    np.testing.assert_allclose(mean(o, y, w, side), run(plain, o, y, w, side), rtol=1e-5)
    one = batch(loss, 1, seed=3)
    assert np.isfinite(mean(one[2], one[1], np.ones(1, "float32"), one[4]))
    o = np.sort(np.linspace(-1e4, 1e4, o.size).reshape(o.shape).astype("float32"), axis=0)
    if task.kind == "ordinal":
        o = o[:, ::-1]
    np.random.default_rng(2).shuffle(o)
    slope = gradient(lambda o: plain(o, y, w, side))(o)
    assert np.isfinite(mean(o, y, w, side)) and np.isfinite(slope).all()


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_rows_of_weight_0_change_nothing_and_get_no_gradient(loss, gradient, run):
    task, y, o, w, side = batch(loss, 60)

    def mean(o, y, w):
        return weighted_mean(row_losses(task, y, o, w, side), w)

    before, slope = run(mean, o, y, w), gradient(lambda o: mean(o, y, w))(o)
    assert (slope[w == 0] == 0).all() and (slope[w > 0] != 0).any()
    y[w == 0], o[w == 0] = 0, 7.5
    assert float(run(mean, o, y, w)) == float(before)
    w[:] = 0
    assert float(run(mean, o, y, w)) == 0 and (gradient(lambda o: mean(o, y, w))(o) == 0).all()


def test_binary_crossentropy_stays_exact_far_out():
    extreme = LOSSES["binary_crossentropy"](np.array([0.0, 1.0], "float32"), np.array([1e4, 1e4], "float32"))
    np.testing.assert_allclose(extreme, [1e4, 0])


def test_focal_without_focus_is_crossentropy_and_with_it_is_biased_to_one_half(gradient):
    _, y, o, _, _ = batch("focal", 50)
    np.testing.assert_allclose(
        LOSSES["focal"](y, o, gamma=0.0), LOSSES["binary_crossentropy"](y, o), rtol=1e-5, atol=1e-6
    )
    # losses are linear in the label, so that with y = p they are expected losses
    p = np.array([0.1, 0.5, 0.9], "float32")
    slope = gradient(lambda z: ops.sum(LOSSES["focal"](p, z)))(special.logit(p))
    assert slope[0] < -0.01 and abs(slope[1]) < 1e-6 and slope[2] > 0.01


def test_weighted_logistic_is_smallest_where_the_odds_are_the_mean(gradient):
    watch = np.random.default_rng(0).exponential(20, 1000) * (np.arange(1000) % 3 > 0)
    mean = watch.mean()  # two of three are watched, where the paper's own form is far off
    slope = gradient(lambda z: ops.mean(LOSSES["weighted_logistic"](watch.astype("float32"), z)))
    slope = slope(np.log(mean))
    assert abs(slope) < 1e-5 * mean


def test_ziln_is_smallest_at_the_maximum_likelihood_estimate(gradient):
    rng = np.random.default_rng(1)
    y = np.where(rng.random(5000) < 0.2, np.exp(rng.normal(1, 0.7, 5000)), 0)
    logs = np.log(y[y > 0])
    at = [special.logit((y > 0).mean()), logs.mean(), np.log(np.expm1(logs.std() - 1e-3))]
    slope = gradient(lambda o: ops.mean(LOSSES["ziln"](y.astype("float32"), ops.broadcast_to(o, (5000, 3)))))(
        at
    )
    np.testing.assert_allclose(slope, 0, atol=1e-5)


@pytest.mark.parametrize("loss", ["cumulative_logit", "coral"])
def test_ordinal_losses_find_the_slope_and_the_thresholds(loss, gradient, compiled):
    rng = np.random.default_rng(0)
    truth = np.array([1.5, -1.0, 0.5, 2.0])  # slope, thresholds
    x = rng.normal(size=20_000).astype("float32")
    y = (truth[0] * x[:, None] + rng.logistic(size=(20_000, 1)) > truth[1:]).sum(axis=1).astype("float32")

    def mean(params):
        return ops.mean(LOSSES[loss](y, params[:1] * x[:, None] - params[1:]))

    value, slope = compiled(mean), gradient(mean)
    found = optimize.minimize(
        lambda p: float(value(p.astype("float32"))),
        [0.0, -0.5, 0.0, 0.5],
        jac=lambda p: slope(p).astype(float),
        method="BFGS",
        options={"gtol": 1e-4},
    )
    np.testing.assert_allclose(found.x, truth, atol=0.08)


def listwise_by_hand(y, z, request, weight, share):
    p, losses = special.expit(z.astype(float)), []
    for i in range(len(y)):
        pointwise = -np.log(p[i] if y[i] else 1 - p[i])
        inside = [j for j in range(len(y)) if request[j] == request[i] and weight[j] > 0]
        listed = 0.0
        if y[i] and weight[i] > 0 and request[i] >= 0:
            listed = -np.log(weight[i] * p[i] / sum(weight[j] * p[j] for j in inside))
        losses.append((1 - share) * pointwise + share * listed)
    return losses


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_listwise_equals_the_formula_whatever_the_order_of_rows(share):
    _, y, z, w, _ = batch("listwise", 40)
    request = np.random.default_rng(5).choice([2**40 + 1, 7, -1, 3, 2**40], 40)
    found = LOSSES["listwise"](y, z, request, w, list_share=share)
    np.testing.assert_allclose(found, listwise_by_hand(y, z, request, w, share), rtol=2e-5, atol=1e-6)


def test_listwise_of_requests_without_a_choice_is_zero():
    z, ones = np.float32([1, -2, 3]), np.ones(3, "float32")
    np.testing.assert_allclose(LOSSES["listwise"](ones, z, np.arange(3), ones, list_share=1.0), 0, atol=1e-6)
    light = LOSSES["listwise"](ones, z, np.arange(3), 0.1 * ones, list_share=1.0)
    np.testing.assert_allclose(light, 0, atol=1e-6)
    np.testing.assert_array_equal(LOSSES["listwise"](0 * ones, z, np.zeros(3), ones, list_share=1.0), 0)


def test_listwise_does_not_depend_on_the_unit_of_weights_and_is_never_negative():
    _, y, z, w, side = batch("listwise", 40)
    light, heavy = (LOSSES["listwise"](y, z, side["request"], w * unit, list_share=0.7) for unit in (0.01, 8))
    np.testing.assert_allclose(light, heavy, rtol=1e-5, atol=1e-6)
    assert float(ops.min(light)) >= -1e-6


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_listwise_is_smallest_at_the_true_probabilities(share, gradient):
    p = np.random.default_rng(0).uniform(0.02, 0.9, 30).astype("float32")
    request, ones = np.repeat(np.arange(6), 5), np.ones(30, "float32")
    # linear in the label: with y = p this is the expected loss
    slope = gradient(lambda z: ops.sum(LOSSES["listwise"](p, z, request, ones, list_share=share)))(
        special.logit(p)
    )
    np.testing.assert_allclose(slope, 0, atol=2e-6)


def test_a_loss_says_which_input_it_misses():
    with pytest.raises(KeyError, match="task 't': loss listwise needs the input 'request'"):
        row_losses(task_of("listwise"), *batch("listwise", 4)[1:4], {})
    with pytest.raises(KeyError, match="needs the input 'duration'"):
        row_losses(task_of("duration_quantile"), *batch("duration_quantile", 4)[1:4], None)


def test_weighted_mean():
    values, weights = np.array([1, 2, 4], "float32"), np.array([1, 0, 3], "float32")
    assert float(weighted_mean(values, weights)) == pytest.approx(13 / 4)
