import keras
import numpy as np
import pytest
from keras import ops

from mtl_models import ESMM, SingleTask, Task
from mtl_models.kinds import KINDS

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
FAR = np.array([-1e30, -3000, -88, -20, -3, -1e-3, 0, 0.5, 7, 20, 88, 3000, 1e30])


def log_sigmoid(z):
    return -np.logaddexp(0, -np.asarray(z, "float64"))


def test_features_are_those_of_single_tasks(built):
    esmm, single = built(ESMM(units=(4, 3))), built(SingleTask(units=(4, 3)))
    for ours, theirs in zip(single.trainable_variables, esmm.trainable_variables, strict=True):
        ours.assign(theirs)
    np.testing.assert_array_equal(esmm(X), single(X))


def test_coupled_outputs_are_logits_of_products(built):
    layer = built(ESMM(chain=("c", "a", "d"), units=(3,)), ("a", "b", "c", "d"))
    outputs = [np.random.default_rng(i).normal(0, 4, 500).astype("float32") for i in range(4)]
    a, b, c, d = (np.asarray(o, "float64") for o in layer.couple(outputs, {}))
    np.testing.assert_array_equal(b, outputs[1])
    np.testing.assert_array_equal(c, outputs[2])
    product = 1.0
    for coupled, tower in ((c, 2), (a, 0), (d, 3)):
        product = product / (1 + np.exp(-outputs[tower].astype("float64")))
        np.testing.assert_allclose(1 / (1 + np.exp(-coupled)), product, rtol=2e-5)


def test_far_out_the_logarithm_of_the_product_is_right(built):
    """In float64, log p and log(1 - p) of the product from the factors' logarithms."""
    layer = built(ESMM(units=(3,)))
    first, second = (a.ravel().astype("float32") for a in np.meshgrid(FAR, FAR))
    coupled = np.asarray(layer.couple([first, second], {})[1])
    assert np.isfinite(coupled).all()
    log_p = log_sigmoid(first) + log_sigmoid(second)
    # log(1 - ab) = log((1 - a) + a (1 - b))
    log_rest = np.logaddexp(log_sigmoid(-first), log_sigmoid(first) + log_sigmoid(-second))
    np.testing.assert_allclose(log_sigmoid(coupled), log_p, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(log_sigmoid(-coupled), log_rest, rtol=1e-5, atol=1e-30)


def test_gradients_are_right_and_finite_far_out(built, gradients, compiled):
    """d logit(pq) / d logit(p) is (1 - p) / (1 - pq)."""
    layer = built(ESMM(units=(3,)))
    first, second = (a.ravel().astype("float32") for a in np.meshgrid(FAR, FAR))
    towers = [keras.Variable(first), keras.Variable(second)]
    found = gradients(lambda: ops.sum(layer.couple([t + 0.0 for t in towers], {})[1]), towers)
    # float64 does not tell the two parts of 1 - pq apart beyond
    here = (np.abs(first) < 1e4) & (np.abs(second) < 1e4)
    assert np.isfinite(found).all()
    found, (p, q) = [f[here] for f in found], (first[here], second[here])
    log_rest = np.logaddexp(log_sigmoid(-p), log_sigmoid(p) + log_sigmoid(-q))
    np.testing.assert_allclose(found[0], np.exp(log_sigmoid(-p) - log_rest), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], np.exp(log_sigmoid(-q) - log_rest), rtol=1e-4, atol=1e-6)
    fast = compiled(lambda a, b: layer.couple([a, b], {})[1])(
        ops.convert_to_tensor(first), ops.convert_to_tensor(second)
    )
    np.testing.assert_allclose(fast, layer.couple([first, second], {})[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sampled", ["click", "buy"])
def test_factors_are_probabilities_in_all_data(sampled, built):
    """Predictions add log(negatives_kept) to a sampled task's output; the rest are of all data."""
    kept = {"click": None, "buy": None, sampled: 0.2}
    layer = built(ESMM(units=(3,)), [Task(n, "binary", negatives_kept=kept[n]) for n in ("click", "buy")])
    towers = [np.array([0.3], "float32"), np.array([-1.1], "float32")]
    click, buy = (np.asarray(o, "float64") for o in layer.couple(towers, {}))
    shift = {n: np.log(k or 1) for n, k in kept.items()}
    p_click = 1 / (1 + np.exp(-(click + shift["click"])))
    p_buy = 1 / (1 + np.exp(-(buy + shift["buy"])))
    np.testing.assert_allclose(click, towers[0], rtol=1e-6)
    np.testing.assert_allclose(p_buy, p_click / (1 + np.exp(1.1)), rtol=1e-5)


@pytest.mark.parametrize("kept", [(None, None), (0.2, None), (None, 0.1), (0.3, 0.3)])
def test_products_start_at_the_base_rates(kept, built):
    """Rates are of the data as sampled, and so are coupled outputs."""
    names, rates = ("click", "cart", "buy"), (0.3, 0.06, 0.002)
    sampled = dict(zip(names, (*kept, None)))
    tasks = [Task(n, "binary", offset=r, negatives_kept=sampled[n]) for n, r in zip(names, rates)]
    layer = built(ESMM(units=(3,)), tasks)
    starts = [np.array([KINDS["binary"].initial_bias(t)], "float32") for t in layer.tower_tasks()]
    assert [t.name for t in layer.tower_tasks()] == list(names)
    coupled = [np.asarray(o, "float64") for o in layer.couple(starts)]
    np.testing.assert_allclose([1 / (1 + np.exp(-o[0])) for o in coupled], rates, rtol=1e-5)


def test_a_start_that_is_not_known_or_impossible(built):
    def following(first, second):
        tasks = [Task("click", "binary", offset=first), Task("buy", "binary", offset=second)]
        return built(ESMM(units=(3,)), tasks).tower_tasks()[1].offset

    assert following(None, 0.1) == 0.1
    assert following(0.1, None) is None
    assert following(0.1, 0.4) == 0.99  # their labels are known of other rows
