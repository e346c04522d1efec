import numpy as np
import pytest

from mtl_models import array_batches

DATA = ({"a": np.arange(10), "b": np.arange(20).reshape(10, 2)}, np.arange(10) * 10)


def epochs(dataset, count=2):
    return [[x["a"].numpy().tolist() for x, _ in dataset] for _ in range(count)]


def test_every_row_once_an_epoch_and_rows_stay_together():
    dataset = array_batches(DATA, 4, seed=3)
    assert int(dataset.cardinality()) == 3
    batches = list(dataset)
    assert [len(y) for _, y in batches] == [4, 4, 2]
    a = np.concatenate([x["a"] for x, _ in batches])
    assert sorted(a) == list(range(10)) and list(a) != list(range(10))
    for x, y in batches:
        np.testing.assert_array_equal(y, x["a"] * 10)
        np.testing.assert_array_equal(x["b"][:, 0], x["a"] * 2)


def test_epochs_differ_and_a_seed_repeats_them():
    first, second = epochs(array_batches(DATA, 4, seed=3))
    assert first != second
    assert epochs(array_batches(DATA, 4, seed=3)) == [first, second]
    assert epochs(array_batches(DATA, 4, seed=4))[0] != first


def test_without_shuffling_the_order_is_kept():
    assert epochs(array_batches(DATA, 4, shuffle=False), 1) == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]]


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 40, 300)
    dataset = array_batches((np.arange(300), groups), 32, seed=seed, groups=groups)
    assert int(dataset.cardinality()) == 300 // 32
    orders = []
    for _ in range(2):
        batches = [(rows.numpy(), group.numpy()) for rows, group in dataset]
        assert sorted(np.concatenate([rows for rows, _ in batches])) == list(range(300))
        assert len(batches) == 300 // 32 and all(len(rows) for rows, _ in batches)
        homes = {}
        for i, (rows, group) in enumerate(batches):
            np.testing.assert_array_equal(groups[rows], group)
            for g in set(group.tolist()):
                assert homes.setdefault(g, i) == i
        orders.append(np.concatenate([rows for rows, _ in batches]).tolist())
    assert orders[0] != orders[1]


def test_a_group_larger_than_a_batch_is_refused():
    with pytest.raises(ValueError, match="a group has 3 rows, more than a batch of 2"):
        array_batches(np.arange(4), 2, groups=np.array([1, 1, 0, 1]))


@pytest.mark.parametrize("groups", [None, np.arange(10) // 2])
def test_epochs_can_be_passed_over(groups):
    whole = epochs(array_batches(DATA, 4, seed=3, groups=groups), 4)
    assert epochs(array_batches(DATA, 4, seed=3, groups=groups, skip_iterators=2)) == whole[2:]


def test_arrays_of_unlike_length_are_named():
    x, y = DATA
    with pytest.raises(ValueError, match="one length .*: 0/a has 10 rows, 1 has 7 rows"):
        array_batches((x, y[:7]), 4)
