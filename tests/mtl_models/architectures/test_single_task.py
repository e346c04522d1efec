import numpy as np

from mtl_models import HardSharing, SingleTask

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def test_by_hand(built):
    layer = built(SingleTask(units=(4, 3)))
    layer.stack.biases[0].assign(np.random.default_rng(1).normal(size=(2, 4)))
    outputs = np.asarray(layer(X))
    for task in range(2):
        h = X
        for kernel, bias in zip(layer.stack.kernels, layer.stack.biases):
            h = np.maximum(h @ np.asarray(kernel)[task] + np.asarray(bias)[task], 0)
        np.testing.assert_allclose(outputs[:, task], h, rtol=1e-5, atol=1e-6)


def test_of_one_task_it_is_hard_sharing(built):
    single, hard = built(SingleTask(units=(4, 3)), ("a",)), built(HardSharing(units=(4, 3)), ("a",))
    for ours, theirs in zip(hard.trainable_variables, single.trainable_variables, strict=True):
        ours.assign(theirs)
    np.testing.assert_allclose(single(X), hard(X), rtol=1e-6, atol=1e-7)


def test_tasks_share_the_inputs_alone(built):
    layer = built(SingleTask())
    z, rest = layer.share(X)
    assert z is X and rest is None and layer.shared_variables() == []
