import numpy as np
import pytest
from keras import ops

from mtl_models import PLE, MMoE

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def relu(z):
    return np.maximum(z, 0)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_of_one_level_without_task_experts_it_is_mmoe(built):
    ple = built(PLE(levels=1, task_experts=0, shared_experts=3, units=(4,)))
    mmoe = built(MMoE(experts=3, units=(4,)))
    mmoe.expert_stack.kernels[0].assign(ple.shared_stacks[0].kernels[0])
    mmoe.gates.kernel.assign(ple.gates[0].kernel)
    np.testing.assert_allclose(ple(X), mmoe(X), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("own, shared", [(2, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("x", [X, X[:1]])
def test_three_levels_by_hand(x, own, shared, built):
    layer = built(PLE(levels=3, task_experts=own, shared_experts=shared, units=(4, 3)))
    inputs = {"a": x, "b": x, "shared": x}
    owner = ["a"] * own + ["b"] * own + ["shared"] * shared
    sees = {name: [e for e, of in enumerate(owner) if of in (name, "shared")] for name in ("a", "b")}
    sees["shared"] = list(range(len(owner)))
    uses = {}
    for level in range(3):
        stacks = [layer.own_stacks[level]] if own else []
        stacks.append(layer.shared_stacks[level])
        first, second = (np.concatenate([np.asarray(s.kernels[i]) for s in stacks]) for i in range(2))
        gates = {"a": layer.gates[level].kernel[0], "b": layer.gates[level].kernel[1]}
        if level < 2:
            gates["shared"] = layer.shared_gates[level].kernel[0]
        experts = [relu(relu(inputs[of] @ first[e]) @ second[e]) for e, of in enumerate(owner)]
        mixed = {}
        for name, kernel in gates.items():
            weights = softmax(inputs[name] @ np.asarray(kernel))
            uses[f"level_{level + 1}/{name}"] = weights
            mixed[name] = sum(weights[:, [i]] * experts[e] for i, e in enumerate(sees[name]))
        inputs = mixed
    outputs = np.asarray(layer(x))
    np.testing.assert_allclose(outputs[:, 0], inputs["a"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs[:, 1], inputs["b"], rtol=1e-4, atol=1e-6)
    found = layer.gate_weights(x)
    assert sorted(found) == sorted(uses)
    for gate, weights in uses.items():
        np.testing.assert_allclose(found[gate], weights, rtol=1e-4, atol=1e-6)


def test_without_shared_experts_tasks_share_the_inputs_alone(built):
    layer = built(PLE(levels=1, task_experts=2, shared_experts=0, units=(4,)))
    z, rest = layer.share(X)
    assert rest is None and layer.shared_variables() == []
    np.testing.assert_array_equal(z, X)
    kernel, gates = np.asarray(layer.own_stacks[0].kernels[0]), np.asarray(layer.gates[0].kernel)
    for task in range(2):
        gate = softmax(X @ gates[task])
        expected = sum(gate[:, [e]] * relu(X @ kernel[2 * task + e]) for e in range(2))
        np.testing.assert_allclose(np.asarray(layer(X))[:, task], expected, rtol=1e-4, atol=1e-6)


def test_a_task_called_shared_keeps_its_gate_and_experts_apart(built):
    layer = built(PLE(levels=2, task_experts=1, shared_experts=1, units=(4,)), ("a", "shared"))
    assert layer.gate_experts()["level_1/shared"] == ["shared_0", "shared__0"]
    assert layer.gate_experts()["level_1/shared_"] == ["a_0", "shared_0", "shared__0"]
    assert np.asarray(layer.gate_weights(X)["level_1/shared"]).shape == (6, 2)


def test_a_task_gradient_does_not_reach_another_tasks_experts(built, gradients):
    layer = built(PLE(levels=1, task_experts=1, shared_experts=1, units=(4,)))
    kernels = [layer.own_stacks[0].kernels[0], layer.shared_stacks[0].kernels[0]]
    of_own, of_shared = gradients(lambda: ops.sum(layer(X)[:, 0]), kernels)
    assert np.abs(of_own[0]).sum() > 0 and np.abs(of_shared[0]).sum() > 0
    assert (of_own[1] == 0).all()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"levels": 0}, "at least one level"),
        ({"levels": 1, "task_experts": 0, "shared_experts": 0}, "one expert"),
        ({"levels": 2, "shared_experts": 0}, "shared expert"),
    ],
)
def test_it_refuses_what_it_cannot_be(settings, words):
    with pytest.raises(ValueError, match=words):
        PLE(**settings)
