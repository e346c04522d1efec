"""Weights against TorchJD's on random Gram matrices and losses; see make_reference.py."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from mtl_models import DWA, FAMO, GLS, STCH, Equal, Fixed, Task, Uncertainty
from mtl_models.weighting._unit_gram import unit_gram
from mtl_models.weighting.aligned_mtl import aligned_weights
from mtl_models.weighting.cagrad import cagrad_weights
from mtl_models.weighting.gradvac import vaccinate
from mtl_models.weighting.imtl import imtl_weights
from mtl_models.weighting.mgda import mgda_weights
from mtl_models.weighting.nash_mtl import nash_weights
from mtl_models.weighting.pcgrad import pcgrad_weights
from mtl_models.weighting.upgrad import upgrad_weights

REFERENCE = np.load(Path(__file__).with_name("reference.npz"))
# on JAX each size is compiled anew, for minutes in all
TASKS = (2, 3, 4, 8) if keras.backend.backend() == "tensorflow" else (3, 8)


def assert_close(found, expected):
    """Within 1e-5 of the greatest weight."""
    found, expected = ops.convert_to_numpy(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def cases(tasks, name):
    return zip(REFERENCE[f"{tasks}/gram"], REFERENCE[f"{tasks}/{name}"])


@pytest.fixture(scope="module")
def run(compiled_on_jax):
    """Runs a function of one Gram matrix."""
    functions = {}

    def run(weights, gram):
        return functions.setdefault(weights, compiled_on_jax(weights))(ops.convert_to_tensor(gram))

    return run


def cagrad_04(gram):
    return cagrad_weights(gram, 0.4)


def cagrad_15(gram):
    return cagrad_weights(gram, 1.5)


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize(
    "name, weights",
    [("mgda_exact", mgda_weights), ("upgrad", upgrad_weights), ("aligned", aligned_weights)],
)
def test_gram_methods_that_are_scaled_by_the_number_of_tasks(run, name, weights, tasks):
    for gram, expected in cases(tasks, name):
        assert_close(run(weights, gram), tasks * expected)


@pytest.mark.parametrize("name, weights", [("mgda_exact", mgda_weights), ("upgrad", upgrad_weights)])
def test_sixteen_tasks(run, name, weights):
    gram, expected = next(cases(16, name))
    assert_close(run(weights, gram), 16 * expected)


@pytest.mark.parametrize("tasks", [size for size in TASKS if size < 4])
def test_mgda_where_frank_wolfe_steps_have_converged(run, tasks):
    for gram, expected in cases(tasks, "mgda"):
        assert_close(run(mgda_weights, gram), tasks * expected)


@pytest.mark.parametrize("tasks", [size for size in TASKS if size >= 4])
def test_mgda_is_never_longer_than_frank_wolfe_steps_find(run, tasks):
    for gram, other in cases(tasks, "mgda"):
        mine = ops.convert_to_numpy(run(mgda_weights, gram)).astype("float64") / tasks
        gram = gram.astype("float64")
        assert mine @ gram @ mine <= (1 + 1e-5) * (other @ gram @ other)


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("c, weights", [(0.4, cagrad_04), (1.5, cagrad_15)])
def test_cagrad(run, tasks, c, weights):
    for gram, expected in cases(tasks, f"cagrad_{c}"):
        assert_close(run(weights, gram), tasks * expected)


@pytest.mark.parametrize("tasks", TASKS)
def test_imtl_up_to_its_scale(run, tasks):
    for gram, expected in cases(tasks, "imtl"):
        assert_close(
            run(imtl_weights, gram), tasks * expected * np.sign(expected.sum()) / np.abs(expected).sum()
        )


@pytest.mark.parametrize("tasks", TASKS)
def test_nash_mtl_up_to_its_scale(run, tasks):
    compared = 0
    for gram, expected in cases(tasks, "nash"):
        shares = expected * (gram.astype("float64") @ expected)
        if shares.max() - shares.min() < 1e-5 * shares.mean():  # elsewhere its solver gave up
            assert_close(run(nash_weights, gram), tasks * expected / expected.sum())
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize("tasks", TASKS)
def test_pcgrad(compiled_on_jax, tasks):
    weights = compiled_on_jax(pcgrad_weights)
    for (gram, expected), orders in zip(cases(tasks, "pcgrad"), REFERENCE[f"{tasks}/orders"]):
        found = weights(ops.convert_to_tensor(gram), ops.convert_to_tensor(orders.astype("int32")))
        assert_close(found, expected)


@pytest.mark.parametrize("tasks", TASKS)
def test_gradvac_over_a_sequence(compiled_on_jax, tasks):
    step = compiled_on_jax(lambda gram, targets, orders: vaccinate(unit_gram(gram), targets, orders, 0.3))
    targets = ops.zeros((tasks, tasks))
    for (gram, expected), orders in zip(cases(tasks, "gradvac"), REFERENCE[f"{tasks}/orders"]):
        orders = ops.convert_to_tensor(orders.astype("int32"))
        weights, targets = step(ops.convert_to_tensor(gram), targets, orders)
        assert_close(weights, expected)


def bound(weighting, tasks, kind="binary"):
    weighting.bind([Task(f"task_{k}", kind) for k in range(tasks)])
    weighting.build()
    return weighting


@pytest.mark.parametrize("tasks", TASKS)
def test_loss_methods_over_a_sequence(tasks):
    dwa, famo = bound(DWA(1.5), tasks), bound(FAMO(0.1, 0.01), tasks)
    gls, stch = bound(GLS(), tasks), bound(STCH(0.5), tasks)
    equal, fixed = bound(Equal(), tasks), bound(Fixed(np.linspace(0.5, 2, tasks)), tasks)
    names = ("equal", "fixed", "dwa", "famo", "gls", "stch")
    expected = {name: REFERENCE[f"{tasks}/{name}"] for name in names}
    losses, after = REFERENCE[f"{tasks}/losses"], REFERENCE[f"{tasks}/after"]
    for step, before in enumerate(losses):
        assert_close(equal(before), expected["equal"][step])
        assert_close(fixed(before), expected["fixed"][step])
        # TorchJD's weights of DWA sum to the number of tasks, the others' are gradients of a mean
        assert_close(dwa(before, training=True), expected["dwa"][step])
        dwa.end_epoch()
        assert_close(famo(before, training=True), tasks * expected["famo"][step])
        famo.observe(before, after[step])
        assert_close(gls(before), tasks * expected["gls"][step])
        if step == 0:
            stch(before, training=True)
            stch.end_epoch()
        # the reference's λ sum to 1; here Σ λ H = K
        assert_close(stch(before), tasks * tasks * expected["stch"][step])


@pytest.mark.parametrize("tasks", TASKS)
def test_uncertainty_of_errors(tasks):
    weighting = bound(Uncertainty(), tasks, "regression")
    weighting.log_variances.assign(np.linspace(-2, 2, tasks).astype("float32"))
    assert_close(weighting(REFERENCE[f"{tasks}/losses"][0]), REFERENCE[f"{tasks}/uncertainty"][0])
