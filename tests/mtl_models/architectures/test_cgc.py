import numpy as np
import pytest

from mtl_models import CGC, PLE

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


@pytest.mark.parametrize("own, shared", [(2, 1), (0, 2), (1, 0)])
def test_it_is_ple_of_one_level(own, shared, built):
    cgc = built(CGC(task_experts=own, shared_experts=shared, units=(4, 3)))
    ple = built(PLE(levels=1, task_experts=own, shared_experts=shared, units=(4, 3)), seed=9)
    for ours, theirs in zip(ple.trainable_variables, cgc.trainable_variables, strict=True):
        ours.assign(theirs)
    np.testing.assert_array_equal(cgc(X), ple(X))
    assert cgc.gate_experts() == ple.gate_experts()
    for gate, weights in ple.gate_weights(X).items():
        np.testing.assert_array_equal(cgc.gate_weights(X)[gate], weights)


def test_some_expert():
    with pytest.raises(ValueError, match="one expert"):
        CGC(task_experts=0, shared_experts=0)
