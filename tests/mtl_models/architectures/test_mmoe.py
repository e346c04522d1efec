import numpy as np
import pytest

from mtl_models import HardSharing, MMoE

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def relu(z):
    return np.maximum(z, 0)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("x", [X, X[:1]])
def test_by_hand(x, built):
    layer = built(MMoE(experts=3, units=(4,)))
    outputs, gate_weights = np.asarray(layer(x)), layer.gate_weights(x)
    kernel, gates = np.asarray(layer.expert_stack.kernels[0]), np.asarray(layer.gates.kernel)
    for i, task in enumerate(("a", "b")):
        gate = softmax(x @ gates[i])
        np.testing.assert_allclose(gate_weights[task], gate, rtol=1e-5)
        expected = sum(gate[:, [e]] * relu(x @ kernel[e]) for e in range(3))
        np.testing.assert_allclose(outputs[:, i], expected, rtol=1e-4, atol=1e-6)


def test_with_one_expert_it_is_hard_sharing(built):
    mmoe, hard = built(MMoE(experts=1, units=(4, 3))), built(HardSharing(units=(4, 3)))
    for ours, theirs in zip(hard.bottom.trainable_variables, mmoe.expert_stack.trainable_variables):
        ours.assign(theirs)
    np.testing.assert_allclose(mmoe(X), hard(X), rtol=1e-6, atol=1e-7)
