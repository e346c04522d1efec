"""Loss methods, state and configuration; this file runs on any Keras backend."""

import keras
import numpy as np
import pytest
from keras import ops

import mtl_models
from mtl_models import DWA, FAMO, GLS, STCH, Equal, Fixed, GradNorm, GradVac, PCGrad, Task, Uncertainty

TASKS = [Task("click", "binary"), Task("watch", "regression")]
ALL = [
    Fixed((1.0, 2.0)),
    Equal(),
    Uncertainty(),
    DWA(),
    GLS(),
    FAMO(),
    STCH(),
    GradNorm(),
    GradVac(),
    PCGrad(),
]
ALL += [getattr(mtl_models, name)() for name in ("MGDA", "UPGrad", "CAGrad", "NashMTL", "IMTL", "AlignedMTL")]
BASES = ("GramWeighting", "Weighting")
STATEFUL = [DWA, FAMO, STCH, GradNorm, GradVac]


def bound(weighting, tasks=TASKS):
    weighting.bind(tasks)
    weighting.build()
    return weighting


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def values(*losses):
    return np.array(losses, "float32")


def test_every_weighting_is_here():
    public = {name: getattr(mtl_models, name) for name in mtl_models.__all__ if name not in BASES}
    of_weighting = {n for n, v in public.items() if v.__module__.startswith("mtl_models.weighting.")}
    assert of_weighting == {type(weighting).__name__ for weighting in ALL}


def test_equal_and_fixed():
    assert numbers(bound(Equal())(values(3, 4))).tolist() == [1, 1]
    weighting = bound(Fixed((0.5, 3.0)))
    assert numbers(weighting(values(3, 4))).tolist() == [0.5, 3.0]
    assert numbers(weighting.regularization()).tolist() == [0, 0]
    with pytest.raises(ValueError, match="1 numbers.*2 tasks, in this order: click, watch"):
        bound(Fixed((1.0,)))
    with pytest.raises(ValueError, match="one is -1.0"):
        Fixed((1.0, -1.0))


@pytest.mark.parametrize("weighting", ALL, ids=lambda w: type(w).__name__)
def test_config_round_trip(weighting):
    again = type(weighting).from_config(weighting.get_config())
    assert again.get_config() == weighting.get_config()
    config = keras.saving.serialize_keras_object(weighting)
    assert keras.saving.deserialize_keras_object(config).get_config() == weighting.get_config()


@pytest.mark.parametrize("weighting", ALL, ids=lambda w: type(w).__name__)
def test_a_loss_that_is_not_finite_counts_as_absent(weighting, compiled_on_jax):
    weighting = bound(type(weighting).from_config(weighting.get_config()))

    def weigh(losses, gram):
        return weighting(losses, gram, training=True)

    # what a layer keeps cannot be written to from a compiled function on JAX
    run = weigh if weighting.variables else compiled_on_jax(weigh)
    gram = ops.eye(2)
    for bad in (np.nan, np.inf, -np.inf):
        run(ops.convert_to_tensor(values(1, 2)), gram)
        before = state(weighting)
        weights = numbers(run(ops.convert_to_tensor(values(bad, bad)), gram))
        assert weights.tolist() == [0, 0]
        for name, (old, new) in {k: (before[k], state(weighting)[k]) for k in before}.items():
            if name != "seen":  # which tasks the last batch had
                np.testing.assert_array_equal(old, new, err_msg=name)
        assert np.isfinite(numbers(run(ops.convert_to_tensor(values(1e-6, 1e6)), gram))).all()


def state(weighting):
    return {v.name: np.array(numbers(v)) for v in weighting.variables if "seed" not in v.path}


def drive(weighting, rng, steps):
    """The weights of some training steps, an absent task and the ends of epochs among them."""
    found = []
    for step in range(steps):
        losses, g = np.exp(rng.normal(size=2)).astype("float32"), rng.normal(size=(2, 4))
        present = np.array([True, step % 3 != 2])
        gram = (g @ g.T).astype("float32")
        found.append(numbers(weighting(losses * present, gram, present=present, training=True)))
        weighting.observe(losses * present, (losses * rng.uniform(0.8, 1.0, 2)).astype("float32") * present)
        if step % 2:
            weighting.end_epoch()
    return np.array(found)


@pytest.mark.parametrize("cls", [*STATEFUL, PCGrad])
def test_state_is_saved_and_restored(cls):
    one, other = bound(cls()), bound(cls())
    drive(one, np.random.default_rng(1), 9)
    # the order of variables is the order of saving
    for source, target in zip(one.variables, other.variables, strict=True):
        target.assign(source)
    np.testing.assert_array_equal(
        drive(one, np.random.default_rng(2), 4), drive(other, np.random.default_rng(2), 4)
    )


@pytest.mark.parametrize("cls", [DWA, FAMO, STCH, GLS])
def test_a_task_that_is_never_there_changes_nothing(cls):
    rng = np.random.default_rng(5)
    three, two = bound(cls(), [*TASKS, Task("like", "binary")]), bound(cls())
    for _ in range(6):
        losses = np.exp(rng.normal(size=2)).astype("float32")
        after = (0.9 * losses * rng.uniform(0.8, 1, 2)).astype("float32")
        found = numbers(three(np.append(losses, 0), present=np.array([True, True, False]), training=True))
        np.testing.assert_allclose(found[:2], numbers(two(losses, training=True)), rtol=1e-5)
        assert found[2] == 0
        three.observe(np.append(losses, 0), np.append(after, 0))
        two.observe(losses, after)
        three.end_epoch()
        two.end_epoch()


@pytest.mark.parametrize("cls", [*STATEFUL, Uncertainty])
def test_weights_are_float32_under_any_policy(cls):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        weighting = bound(cls())
        weights = weighting(values(1e-6, 1e6), np.diag(values(1e-12, 1e12)))
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    assert np.isfinite(numbers(weights)).all()


def test_dwa_is_uniform_for_two_epochs():
    weighting = bound(DWA(temperature=2.0))
    for losses, expected in [((4, 1), None), ((2, 1), None), ((9, 9), (2 / 4, 1 / 1))]:
        weights = numbers(weighting(values(*losses), training=True))
        rates = np.exp(np.array(expected or (1, 1)) / 2.0)
        np.testing.assert_allclose(weights, 2 * rates / rates.sum(), rtol=1e-6)
        weighting.end_epoch()


def test_dwa_averages_over_the_batches_that_have_the_task():
    weighting = bound(DWA())
    for losses, present in [((1, 3), (True, True)), ((3, 0), (True, False))]:
        weighting(values(*losses), present=np.array(present), training=True)
    weighting.end_epoch()
    assert numbers(weighting.averages)[1].tolist() == [2, 3]


def test_gls_leaves_out_losses_that_are_not_positive():
    tasks = [*TASKS, Task("like", "binary")]
    np.testing.assert_allclose(numbers(bound(GLS(), tasks)(values(1, 4, 0))), [2, 0.5, 1], rtol=1e-6)


def test_gradnorm_takes_the_papers_step_in_logs():
    weighting = bound(GradNorm(alpha=1.0, learning_rate=0.1))
    gram = np.diag(values(1, 9))
    assert numbers(weighting(values(2, 5), gram, training=True)).tolist() == [1, 1]
    # norms 1 and 3 of mean 2; both losses at their first value, so both targets 2
    moved = np.exp([0.1 * 1 / 2, -0.1 * 3 / 2])
    moved *= 2 / moved.sum()
    np.testing.assert_allclose(numbers(weighting(values(1, 5), gram, training=True)), moved, rtol=1e-5)
    # now r = (0.5, 1) / 0.75, and targets a third below and above the mean
    weighted = moved * [1, 3]
    mean = weighted.mean()
    signs = np.sign(weighted - mean * np.array([2 / 3, 4 / 3]))
    moved *= np.exp(-0.1 * weighted / mean * signs)
    moved *= 2 / moved.sum()
    np.testing.assert_allclose(numbers(weighting(values(1, 5), gram)), moved, rtol=1e-5)


def test_gradnorm_balances_norms_that_differ_a_millionfold():
    weighting = bound(GradNorm(alpha=0.0, learning_rate=0.2))
    for _ in range(80):
        weights = numbers(weighting(values(1, 1), np.diag(values(1e-6, 1e6)), training=True))
    assert 0.6 < weights[0] * 1e-3 / (weights[1] * 1e3) < 1.6


def test_uncertainty_has_the_form_of_each_loss():
    kinds = [
        ("binary", None),
        ("regression", None),
        ("regression", "mae"),
        ("regression", "weighted_logistic"),
    ]
    tasks = [Task(f"task_{k}", kind, loss) for k, (kind, loss) in enumerate(kinds)]
    tasks += [Task("stars", "multiclass", classes=5), Task("level", "ordinal", classes=3)]
    weighting = bound(Uncertainty(), tasks)
    s = np.array([0.7, -1.2, 0.3, 0.1, -0.5, 2.0], "float32")
    weighting.log_variances.assign(s)
    sigma = np.exp(s / 2)
    expected = np.array([1, 0.5, 0.5, 1, 1, 1]) / sigma**2
    np.testing.assert_allclose(numbers(weighting(np.ones(6, "float32"))), expected, rtol=1e-6)
    np.testing.assert_allclose(numbers(weighting.regularization()), np.log(sigma), rtol=1e-5, atol=1e-7)


def descend(weighting, losses, steps=200):
    variable = weighting.log_variances
    for _ in range(steps):
        slope = 0.5 - np.minimum(numbers(weighting(losses)) * losses, 1e9)  # d/ds (w L + s / 2), w' = -w
        variable.assign(variable.constraint(variable - 0.3 * slope.astype("float32")))
    return numbers(weighting(losses))


def test_uncertainty_settles_at_one_over_twice_the_loss():
    losses = values(0.3, 2.0)
    np.testing.assert_allclose(descend(bound(Uncertainty()), losses), 1 / (2 * losses), rtol=1e-3)


def test_uncertainty_stays_in_its_range_and_leaves_its_bound_again():
    weighting = bound(Uncertainty(minimum=-1.0, maximum=4.0))
    descend(weighting, values(0, 1e30), steps=40)
    np.testing.assert_allclose(numbers(weighting.log_variances), [-1, 4])
    np.testing.assert_allclose(descend(weighting, values(0.5, 0.5)), [1.0, 1.0], rtol=1e-3)


def test_uncertainty_refuses_an_empty_range():
    with pytest.raises(ValueError, match="minimum"):
        Uncertainty(minimum=1.0)


def test_a_weighting_belongs_to_one_model():
    with pytest.raises(ValueError, match="already part of a model"):
        bound(DWA()).bind(TASKS)


@pytest.mark.parametrize("weighting", ALL, ids=lambda w: type(w).__name__)
def test_losses_that_may_be_negative_are_refused_where_sizes_are_needed(weighting):
    """The others weigh them; that their weights are finite for any losses is tested above."""
    weighting = type(weighting).from_config(weighting.get_config())
    tasks = [TASKS[0], Task("spend", "regression", "ziln")]
    if type(weighting) in (DWA, FAMO, GLS, STCH, GradNorm, Uncertainty):
        with pytest.raises(ValueError, match="needs losses above 0, and loss ziln of task 'spend' may be"):
            weighting.bind(tasks)
        return
    assert bound(weighting, tasks).tasks == tuple(tasks)
