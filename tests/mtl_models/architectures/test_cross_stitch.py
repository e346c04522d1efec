import numpy as np
import pytest

from mtl_models import CrossStitch, SingleTask

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


@pytest.mark.parametrize("x", [X, X[:1]])
def test_by_hand(x, built):
    layer = built(CrossStitch(units=(4, 3)), ("a", "b", "c"))
    rng = np.random.default_rng(1)
    for stitch in layer.stitches:
        stitch.alpha.assign(rng.normal(size=stitch.alpha.shape))
    h = [x, x, x]
    for stack, stitch in zip(layer.stacks, layer.stitches):
        kernel, alpha = np.asarray(stack.kernels[0]), np.asarray(stitch.alpha)
        h = [np.maximum(h[task] @ kernel[task], 0) for task in range(3)]
        z, h = h, [sum(alpha[j, k] * h[k] for k in range(3)) for j in range(3)]
    np.testing.assert_allclose(layer(x), np.stack(h, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.share(x)[0], np.stack(z, 1), rtol=1e-4, atol=1e-5)


def test_with_identity_stitches_it_is_single_tasks(built):
    stitched, single = built(CrossStitch(units=(4, 3), self_weight=1.0)), built(SingleTask(units=(4, 3)))
    for ours, stack in zip(single.stack.kernels, stitched.stacks):
        ours.assign(stack.kernels[0])
    np.testing.assert_allclose(stitched(X), single(X), rtol=1e-6, atol=1e-7)


def test_something_to_stitch():
    with pytest.raises(ValueError, match="units needs at least one"):
        CrossStitch(units=())
