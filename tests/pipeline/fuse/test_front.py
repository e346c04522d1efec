import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.fuse.front import front

METRICS = st.integers(1, 4).flatmap(
    lambda d: arrays(np.float64, st.tuples(st.integers(1, 30), st.just(d)), elements=st.integers(0, 4))
)


def dominates(a, b):
    return (a >= b).all() and (a > b).any()


@given(METRICS)
def test_the_front_is_what_nothing_dominates_and_every_other_point_is_dominated_by_it(metrics):
    shown = front(metrics)
    for i, point in enumerate(metrics):
        beaten = [j for j in range(len(metrics)) if dominates(metrics[j], point)]
        if i in shown:
            assert not beaten
        else:
            # the same as a point before it, or worse than a point of the front
            assert any((metrics[j] == point).all() or dominates(metrics[j], point) for j in shown)
    assert (np.diff(metrics[shown, 0]) <= 0).all()


@given(METRICS, st.randoms(use_true_random=False))
def test_points_told_twice_change_nothing(metrics, random):
    again = list(range(len(metrics))) * 2
    order = again[:]
    random.shuffle(order)
    np.testing.assert_array_equal(metrics[front(metrics)], metrics[order][front(metrics[order])])


def test_what_only_rounding_tells_apart_is_one_point():
    assert front(np.array([[0.5, 0.5], [0.5 + 1e-13, 0.5 - 1e-13]])).size == 1
