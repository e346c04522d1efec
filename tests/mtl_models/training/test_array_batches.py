import numpy as np

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
