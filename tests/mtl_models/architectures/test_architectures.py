import numpy as np
import pytest

from mtl_models import PLE, HardSharing, MMoE, Task

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def relu(z):
    return np.maximum(z, 0)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def built(architecture, tasks=("a", "b"), seed=3):
    architecture.bind([Task(name, "binary") for name in tasks], seed)
    architecture.build((None, 5))
    return architecture


@pytest.mark.parametrize("x", [X, X[:1]])
def test_hard_sharing_by_hand(x):
    layer = built(HardSharing(units=(4, 3)))
    h = x
    for kernel in layer.bottom.kernels:
        h = relu(h @ kernel.numpy()[0])
    out = np.asarray(layer(x))
    assert out.shape == (len(x), 2, 3)
    for task in range(2):
        np.testing.assert_allclose(out[:, task], h, rtol=1e-5, atol=1e-6)
    assert layer.gate_weights(x) == {} and layer.gate_experts() == {}


@pytest.mark.parametrize("x", [X, X[:1]])
def test_mmoe_by_hand(x):
    layer = built(MMoE(experts=3, units=(4,)))
    outputs = np.asarray(layer(x))
    for task in range(2):
        gate = softmax(x @ layer.gates.kernel.numpy()[task])
        expected = sum(gate[:, [e]] * relu(x @ layer.expert_stack.kernels[0].numpy()[e]) for e in range(3))
        np.testing.assert_allclose(outputs[:, task], expected, rtol=1e-4, atol=1e-6)


def test_mmoe_with_one_expert_is_hard_sharing():
    mmoe, hard = built(MMoE(experts=1, units=(4, 3))), built(HardSharing(units=(4, 3)))
    for ours, theirs in zip(hard.bottom.kernels, mmoe.expert_stack.kernels):
        ours.assign(theirs)
    np.testing.assert_allclose(mmoe(X), hard(X), rtol=1e-5, atol=1e-6)


def test_ple_of_one_level_without_task_experts_is_mmoe():
    ple, mmoe = built(PLE(levels=1, task_experts=0, shared_experts=3, units=(4,))), built(MMoE(3, (4,)))
    mmoe.expert_stack.kernels[0].assign(ple.shared_stacks[0].kernels[0])
    mmoe.gates.kernel.assign(ple.gates[0].kernel)
    np.testing.assert_allclose(ple(X), mmoe(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("x", [X, X[:1]])
def test_ple_of_two_levels_by_hand(x):
    layer = built(PLE(levels=2, task_experts=2, shared_experts=1, units=(4,)))
    # experts: a_0 a_1 b_0 b_1 shared_0
    inputs = {"a": x, "b": x, "shared": x}
    sees = {"a": [0, 1, 4], "b": [2, 3, 4], "shared": [0, 1, 2, 3, 4]}
    owner = ["a", "a", "b", "b", "shared"]
    for level in range(2):
        stacks = [layer.own_stacks[level], layer.shared_stacks[level]]
        kernel = np.concatenate([stack.kernels[0].numpy() for stack in stacks])
        gate_kernels = list(layer.gates[level].kernel.numpy())
        if level == 0:
            gate_kernels.append(layer.shared_gates[level].kernel.numpy()[0])
        experts = [relu(inputs[owner[e]] @ kernel[e]) for e in range(5)]
        mixed = {}
        for g, name in enumerate(["a", "b", "shared"][: 2 if level else 3]):
            weights = softmax(inputs[name] @ gate_kernels[g])
            mixed[name] = sum(weights[:, [i]] * experts[e] for i, e in enumerate(sees[name]))
        inputs = mixed
    outputs = np.asarray(layer(x))
    np.testing.assert_allclose(outputs[:, 0], inputs["a"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs[:, 1], inputs["b"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "architecture",
    [
        MMoE(experts=3, units=(4,)),
        PLE(levels=3, units=(4,)),
        PLE(levels=1, task_experts=1, shared_experts=0, units=(4,)),
    ],
)
def test_every_gate_names_the_experts_it_weighs(architecture):
    layer = built(architecture, ("a", "shared", "b"))
    weights, names = layer.gate_weights(X), layer.gate_experts()
    assert list(weights) == list(names)
    for gate, values in weights.items():
        assert np.asarray(values).shape == (6, len(names[gate]))
        np.testing.assert_allclose(np.sum(values, 1), 1, rtol=1e-5)


def test_a_task_gradient_does_not_reach_another_tasks_experts():
    tf = pytest.importorskip("tensorflow")
    layer = built(PLE(levels=1, task_experts=1, shared_experts=1, units=(4,)))
    own, shared = layer.own_stacks[0].kernels[0], layer.shared_stacks[0].kernels[0]
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(X)[:, 0])
    of_own, of_shared = (g.numpy() for g in tape.gradient(value, [own.value, shared.value]))
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
def test_ple_refuses_what_it_cannot_be(settings, words):
    with pytest.raises(ValueError, match=words):
        PLE(**settings)


def test_a_layer_serves_one_model():
    layer = built(MMoE())
    with pytest.raises(ValueError, match="already part of a model"):
        layer.bind([Task("a", "binary")], 0)


@pytest.mark.parametrize(
    "architecture", [HardSharing(units=(3,), dropout=0.5), MMoE(experts=2), PLE(levels=3, task_experts=1)]
)
def test_config_round_trip(architecture):
    assert type(architecture).from_config(architecture.get_config()).get_config() == architecture.get_config()
