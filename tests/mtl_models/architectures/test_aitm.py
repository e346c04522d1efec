import numpy as np
import pytest

from mtl_models import AITM, Task

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def relu(z):
    return np.maximum(z, 0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("x", [X, X[:1]])
def test_by_hand(x, built):
    # in another order than the tasks', with one task outside of the chain
    layer = built(AITM(chain=("c", "a", "d"), units=(4, 3)), ("a", "b", "c", "d"))
    p = [x] * 4
    for kernel in layer.stack.kernels:
        p = [relu(h @ np.asarray(kernel)[task]) for task, h in enumerate(p)]
    weights = {}
    for earlier, later, transfer in [(2, 0, layer.transfers[0]), (0, 3, layer.transfers[1])]:
        w = {v.name: np.asarray(v) for v in transfer.trainable_variables}
        both = [p[later], relu(p[earlier] @ w["transfer_kernel"] + w["transfer_bias"])]
        scores = [np.sum((u @ w["query"]) * (u @ w["key"]), 1) / np.sqrt(3) for u in both]
        own = sigmoid(scores[0] - scores[1])
        p[later] = own[:, None] * (both[0] @ w["value"]) + (1 - own)[:, None] * (both[1] @ w["value"])
        weights["abcd"[later]] = np.stack([own, 1 - own], 1)
    np.testing.assert_allclose(layer(x), np.stack(p, 1), rtol=1e-4, atol=1e-5)
    found = layer.gate_weights(x)
    assert list(found) == ["a", "d"]
    for gate, expected in weights.items():
        np.testing.assert_allclose(found[gate], expected, rtol=1e-4, atol=1e-6)
    assert layer.gate_experts() == {"a": ["a", "c"], "d": ["d", "a"]}


def test_penalty_by_hand(built):
    layer = built(AITM(calibrator_weight=0.7, units=(3,)), ("a", "b", "c"))
    rng = np.random.default_rng(3)
    outputs = [rng.normal(size=6).astype("float32") for _ in range(3)]
    weights = [np.array(w, "float32") for w in ([1, 1, 0, 1, 1, 1], [2, 1, 1, 0, 1, 3], [0, 1, 1, 1, 1, 1])]
    expected = 0.0
    for j, k in ((0, 1), (1, 2)):
        excess = np.maximum(sigmoid(outputs[k]) - sigmoid(outputs[j]), 0)
        w = weights[k] * (weights[j] > 0)
        expected += 0.7 * np.sum(w * excess) / np.sum(w)
    assert expected > 0.01
    assert float(layer.penalty(None, outputs, weights, weights)) == pytest.approx(expected, rel=1e-5)


def test_penalty_is_zero_where_later_steps_are_less_likely(built):
    layer = built(AITM(units=(3,)))
    ones = np.ones(4, "float32")
    assert float(layer.penalty(None, [2 * ones, ones], [ones, ones], [ones, ones])) == 0.0


def test_penalty_compares_probabilities_in_all_data(built):
    """A click trained on a tenth of its negatives is a tenth as likely by odds as its output says."""
    layer = built(
        AITM(calibrator_weight=1.0, units=(3,)),
        [Task("click", "binary", negatives_kept=0.1), Task("buy", "binary")],
    )
    outputs = [np.array([1.0], "float32"), np.array([0.0], "float32")]
    ones = [np.ones(1, "float32")] * 2
    expected = 0.5 - sigmoid(1 + np.log(0.1))
    assert float(layer.penalty(None, outputs, ones, ones)) == pytest.approx(expected, rel=1e-5)
