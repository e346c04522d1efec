import numpy as np
import pytest

from mtl_models import TaskAttention


def by_hand(layer, shared, below):
    w = {v.name: np.asarray(v) for v in layer.trainable_variables}
    taken = []
    for task in range(layer.tasks):
        read = shared
        if below is not None:
            lifted = np.maximum(below[:, task] @ w["below_kernel"] + w["below_bias"], 0)
            read = np.concatenate([shared, lifted], 1)
        hidden = np.maximum(read @ w["hidden_kernel"][task] + w["hidden_bias"][task], 0)
        mask = 1 / (1 + np.exp(-(hidden @ w["mask_kernel"][task] + w["mask_bias"][task])))
        taken.append(mask * shared)
    return np.stack(taken, 1)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("lowest", [True, False])
def test_by_hand(lowest, batch):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(batch, 4)).astype("float32")
    below = None if lowest else rng.normal(size=(batch, 3, 6)).astype("float32")
    layer = TaskAttention(tasks=3, seed=1)
    layer.build(shared.shape, None if lowest else below.shape)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    np.testing.assert_allclose(layer(shared, below), by_hand(layer, shared, below), rtol=1e-4, atol=1e-5)


def test_tasks_start_with_masks_of_their_own():
    layer = TaskAttention(tasks=2)
    layer.build((None, 40))
    first, second = np.asarray(layer.hidden_kernel)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1
