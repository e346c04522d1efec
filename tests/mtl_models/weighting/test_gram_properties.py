"""What holds of gradient methods for any gradients: hypothesis, closed forms of two tasks, equivalences."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from mtl_models import IMTL, MGDA, AlignedMTL, CAGrad, GradNorm, GradVac, NashMTL, PCGrad, Task, UPGrad
from mtl_models.weighting.cagrad import cagrad_weights

CONSTANT = [MGDA, UPGrad, CAGrad, NashMTL, IMTL, AlignedMTL]
STATEFUL = [PCGrad, GradVac, GradNorm]
TASKS = 4
# on JAX a method that is run eagerly traces its loops at each call
EXAMPLES = 50 if keras.backend.backend() == "tensorflow" else 10


def bound(weighting, tasks=TASKS):
    weighting.bind([Task(f"task_{k}", "binary") for k in range(tasks)])
    weighting.build()
    return weighting


@pytest.fixture(scope="session")
def weigh_all(compiled):
    """Weights of every method whose weights are a function of the Gram matrix, compiled once a size."""
    layers, functions = {}, {}

    def weigh_all(gram, present=None) -> dict:
        tasks = len(gram)
        if tasks not in functions:
            layers[tasks] = [bound(cls(), tasks) for cls in CONSTANT]
            functions[tasks] = compiled(
                lambda gram, present: [
                    layer(ops.ones((tasks,)), gram, present=present, training=True) for layer in layers[tasks]
                ]
            )
        here = np.ones(tasks, bool) if present is None else present
        gram, here = ops.convert_to_tensor(np.asarray(gram, "float32")), ops.convert_to_tensor(here)
        found = functions[tasks](gram, here)
        return {cls: ops.convert_to_numpy(w).astype("float64") for cls, w in zip(CONSTANT, found)}

    return weigh_all


def weigh(weighting, gram, present=None):
    """Weights of a method with random orders or memory, in training."""
    losses = np.ones(len(gram), "float32")
    found = weighting(losses, np.asarray(gram, "float32"), present=present, training=True)
    return ops.convert_to_numpy(found).astype("float64")


REMEMBERING = {cls: bound(cls()) for cls in STATEFUL}


@st.composite
def gradients(draw, tasks=TASKS):
    """[T, d]: dependent rows, zero rows and norms from 1e-6 to 1e6 among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = rng.normal(size=(tasks, draw(st.integers(1, 8))))
    if draw(st.booleans()):
        found[1] = draw(st.sampled_from([1.0, -1.0, 0.0])) * found[0]
    return found * 10.0 ** rng.uniform(*draw(st.sampled_from([(0, 0), (-1, 1), (-6, 6)])), size=(tasks, 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(g=gradients())
def test_weights_are_finite_for_any_gradients(weigh_all, g):
    gram = (g @ g.T).astype("float32")
    found = weigh_all(gram)
    found |= {cls: weigh(layer, gram) for cls, layer in REMEMBERING.items()}
    for cls, weights in found.items():
        assert np.isfinite(weights).all(), cls
        if cls not in (IMTL, AlignedMTL):
            assert (weights >= 0).all(), cls


@settings(max_examples=EXAMPLES, deadline=None)
@given(g=gradients())
def test_upgrad_and_mgda_conflict_with_no_task(weigh_all, g):
    gram = (g @ g.T).astype("float32").astype("float64")
    norms = np.sqrt(np.diag(gram))
    found = weigh_all(gram)
    for cls in (UPGrad, MGDA):
        weights = found[cls] * (norms > 0)
        # of the sum of the lengths that add up to the step, which is what rounding is relative to
        allowed = 1e-4 * norms * (weights * norms).sum()
        assert (gram @ weights >= -allowed).all(), (cls, weights)


@settings(max_examples=min(EXAMPLES, 30), deadline=None)
@given(g=gradients())
def test_without_conflict_projections_change_nothing(weigh_all, g):
    gram = np.abs(g) @ np.abs(g).T
    np.testing.assert_allclose(weigh_all(gram)[UPGrad], 1.0, atol=1e-5)
    for cls in (PCGrad, GradVac):
        np.testing.assert_allclose(weigh(bound(cls()), gram), 1.0, atol=1e-5)


@pytest.fixture(scope="module")
def unconstrained(compiled):
    return compiled(lambda gram: cagrad_weights(gram, 0.0))


@settings(max_examples=min(EXAMPLES, 30), deadline=None)
@given(g=gradients())
def test_cagrad_at_zero_is_equal(unconstrained, g):
    found = ops.convert_to_numpy(unconstrained(ops.convert_to_tensor((g @ g.T).astype("float32"))))
    np.testing.assert_allclose(found, np.diag(g @ g.T) > 0, atol=1e-6)


@pytest.mark.parametrize("c, weight", [(0.4, 1.4), (1.5, 2.0)])
def test_cagrad_goes_towards_the_task_that_the_others_outvote(compiled, c, weight):
    """Up to c = 1 the step shrinks; beyond, where no step suits all, there is none."""
    g = np.array([[3.0, 4.0], [-3.0, -4.0], [3.0, 4.0]], "float32")
    found = compiled(lambda gram: cagrad_weights(gram, c))(ops.convert_to_tensor(g @ g.T))
    found = ops.convert_to_numpy(found)
    np.testing.assert_allclose(found, [1, weight, 1], atol=1e-3)


@pytest.mark.parametrize("tasks", [3, pytest.param(10, marks=pytest.mark.slow)])  # of few every set is tried
def test_cagrad_is_the_best_step_of_its_ball(compiled, tasks):
    c = 0.4
    run = compiled(lambda gram: cagrad_weights(gram, c))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        g = rng.normal(size=(tasks, 8)) * 10.0 ** rng.uniform(-1, 0, size=(tasks, 1))
        g[-1] -= g[:-1].sum(0) * rng.uniform(0, 1)  # one against the others
        w = ops.convert_to_numpy(run(ops.convert_to_tensor((g @ g.T).astype("float32")))).astype("float64")
        mean, step = g.mean(0), w @ g / tasks
        radius = c * np.linalg.norm(mean)
        assert w.min() >= 1 and np.linalg.norm(step - mean) <= radius * (1 + 1e-4)
        # no step of the ball has a least product above that with a gradient in the hull
        within = (w - 1) / (w - 1).sum() @ g
        bound = within @ mean + radius * np.linalg.norm(within)
        assert bound - (g @ step).min() <= 1e-3 * np.linalg.norm(mean) * np.linalg.norm(g, axis=1).min()


def test_orthogonal_gradients_of_one_length_weigh_alike(weigh_all):
    for cls, weights in weigh_all(7e-9 * np.eye(TASKS)).items():
        expected = 1.4 if cls is CAGrad else 1.0  # 1 + c
        np.testing.assert_allclose(weights, expected, rtol=1e-5, err_msg=cls.__name__)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_unit_of_all_losses_does_not_matter(weigh_all, scale):
    g = np.random.default_rng(1).normal(size=(TASKS, 6))
    plain, scaled = weigh_all(g @ g.T), weigh_all(scale * (g @ g.T))
    for cls in CONSTANT:
        np.testing.assert_allclose(scaled[cls], plain[cls], rtol=1e-4, err_msg=cls.__name__)


def test_the_direction_does_not_depend_on_the_unit_of_one_loss(weigh_all):
    g = np.random.default_rng(2).normal(size=(TASKS, 12))
    scales = np.array([1e-6, 1.0, 1e3, 1e6])
    gram = g @ g.T
    plain, scaled = weigh_all(gram), weigh_all(gram * np.outer(scales, scales))
    for cls in (NashMTL, IMTL):
        steps = [plain[cls], scaled[cls] * scales]
        np.testing.assert_allclose(steps[1] / steps[1][0], steps[0] / steps[0][0], rtol=1e-4)


@pytest.mark.parametrize("why", ["absent", "nan", "infinite", "zero"])
def test_the_others_are_weighed_as_if_an_absent_task_did_not_exist(weigh_all, why):
    """With two tasks left, the orders of PCGrad and GradVac do not matter."""
    g = np.random.default_rng(3).normal(size=(3, 5)) - [[0.4], [-0.4], [0]]
    gram = (g @ g.T).astype("float32")
    present = None
    if why == "absent":
        present = np.array([True, True, False])
    else:
        gram[2, :] = gram[:, 2] = {"nan": np.nan, "infinite": np.inf, "zero": 0.0}[why]
    found = weigh_all(gram, present) | {cls: weigh(bound(cls(), 3), gram, present) for cls in STATEFUL}
    alone = weigh_all(gram[:2, :2]) | {cls: weigh(bound(cls(), 2), gram[:2, :2]) for cls in STATEFUL}
    for cls, weights in found.items():
        np.testing.assert_allclose(weights[:2], alone[cls], rtol=2e-5, err_msg=cls.__name__)
        # a task without a gradient is there, for its own tower
        assert weights[2] == (1.0 if why == "zero" else 0.0)


def test_no_task_at_all_weighs_nothing(weigh_all):
    nothing, nobody = np.zeros((TASKS, TASKS)), np.zeros(TASKS, bool)
    assert all((weights == 0).all() for weights in weigh_all(nothing, nobody).values())
    for cls in STATEFUL:
        assert (weigh(bound(cls()), nothing, nobody) == 0).all()


def test_one_task_weighs_one(weigh_all):
    found = weigh_all(np.array([[4.0]])) | {cls: weigh(bound(cls(), 1), [[4.0]]) for cls in STATEFUL}
    for cls, weights in found.items():
        np.testing.assert_allclose(weights, 1.4 if cls is CAGrad else 1.0, rtol=1e-5, err_msg=cls.__name__)


@pytest.mark.parametrize("a, b, c", [(1.0, 4.0, -1.0), (1.0, 4.0, 1.5), (9.0, 0.25, -0.9), (1.0, 1.0, 0.3)])
def test_two_tasks_in_closed_form(weigh_all, a, b, c):
    """`G = [[a, c], [c, b]]`."""
    gram = np.array([[a, c], [c, b]])
    share = np.clip((b - c) / (a + b - 2 * c), 0, 1)  # Sener & Koltun, eq. 4
    projected = 1 + np.array([max(-c, 0) / a, max(-c, 0) / b])
    inverse = 2 * np.array([b**0.5, a**0.5]) / (a**0.5 + b**0.5)
    values, vectors = np.linalg.eigh(gram)
    expected = {
        MGDA: 2 * np.array([share, 1 - share]),
        UPGrad: projected,
        NashMTL: inverse,
        IMTL: inverse,
        AlignedMTL: values[0] ** 0.5 * vectors @ np.diag(values**-0.5) @ vectors.T @ np.ones(2),
    }
    found = weigh_all(gram)
    for cls, weights in expected.items():
        np.testing.assert_allclose(found[cls], weights, rtol=2e-5, atol=2e-6, err_msg=cls.__name__)
    np.testing.assert_allclose(weigh(bound(PCGrad(), 2), gram), projected, rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_imtl_makes_no_step_of_rounding_where_gradients_cancel(weigh_all, seed):
    g, h = np.random.default_rng(seed).normal(size=(2, 7))
    for gradients in ([g, -g, h, -h], [g, -g, 2 * g, -0.5 * g]):
        assert not weigh_all(np.array(gradients) @ np.transpose(gradients))[IMTL].any()


def test_aligned_mtl_keeps_tasks_of_small_gradients(weigh_all):
    weights = weigh_all(np.diag([1e-12, 1.0, 1e12]))[AlignedMTL]
    np.testing.assert_allclose(weights, [1.0, 1e-6, 1e-12], rtol=1e-5)


def test_pcgrad_orders_are_random_and_repeatable():
    gram = np.array([[1, -0.6, -0.5], [-0.6, 1, -0.2], [-0.5, -0.2, 1]])
    first, second = bound(PCGrad(seed=1), 3), bound(PCGrad(seed=1), 3)
    sequence = [weigh(first, gram).tolist() for _ in range(8)]
    assert sequence == [weigh(second, gram).tolist() for _ in range(8)]
    assert len({tuple(np.round(w, 4)) for w in sequence}) > 1


def test_training_without_a_gram_matrix_is_an_error_and_evaluation_is_not():
    with pytest.raises(ValueError, match="UPGrad needs the Gram matrix"):
        bound(UPGrad())(np.ones(TASKS, "float32"), training=True)
    assert ops.convert_to_numpy(bound(UPGrad())(np.ones(TASKS, "float32"))).tolist() == [1.0] * TASKS
