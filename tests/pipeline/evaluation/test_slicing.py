import numpy as np
import pyarrow as pa

from pipeline.evaluation.slicing import Slices, coded
from pipeline.slice_names import conditions_of, features_of, slice_name


def test_most_frequent_values_and_crosses_over_batches():
    batches = [
        {"a": coded(pa.array([1, 2, 2, None])), "b": coded(pa.array(["x", "x", "y", "y"]))},
        {"a": coded(pa.array([2, 3, 3])), "b": coded(pa.array(["x", "y", None]))},
    ]
    slices = Slices.most_frequent(["a", "a & b"], batches, 2)
    assert slices.kinds == (("a",), ("a", "b"))
    assert slices.names == ["overall", "a=2", "a=3", "a=2 & b=x", "a=1 & b=x"]
    assert slices.ids(batches[0], 4).tolist() == [[0, -1, 4], [0, 1, 3], [0, 1, -1], [0, -1, -1]]
    assert slices.ids(batches[1], 3).tolist() == [[0, 1, 3], [0, 2, -1], [0, 2, -1]]


def test_named_slices_are_told_apart_however_rare():
    batch = {"a": coded(pa.array(list("xxxyyz"))), "b": coded(pa.array([1, 1, 2, 1, 1, 2]))}
    named = ["a=z", "a=x", "a=nobody", "a=z & b=2"]
    slices = Slices.most_frequent(["a", "a & b"], [batch], 1, named)
    assert slices.names == ["overall", "a=x", "a=z", "a=x & b=1", "a=z & b=2"]
    assert slices.ids(batch, 6)[[0, 3, 5]].tolist() == [[0, 1, 3], [0, -1, -1], [0, 2, 4]]


def test_no_slices_and_no_values():
    assert Slices.most_frequent([], [], 5).ids({}, 2).tolist() == [[0], [0]]
    empty = {"a": coded(pa.array([], pa.string()))}
    slices = Slices.most_frequent(["a"], [empty], 5)
    assert slices.names == ["overall"] and slices.ids(empty, 0).shape == (0, 2)
    assert slices.ids({"a": coded(pa.array(["new"]))}, 1).tolist() == [[0, -1]]


def test_ids_name_their_slices():
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, 6, 500), rng.choice(list("xyz"), 500), rng.random(500) < 0.5
    batch = {"a": coded(pa.array(a)), "b": coded(pa.array(b)), "c": coded(pa.array(c))}
    slices = Slices.most_frequent(["b", "c & a & b"], [batch], 7)
    ids = slices.ids(batch, 500)
    for i, name in enumerate(slices.names[1:], start=1):
        conditions = dict(part.split("=") for part in name.split(" & "))
        expected = np.ones(500, bool)
        for feature, value in conditions.items():
            expected &= np.array([t == value for t in np.array(batch[feature][0])[batch[feature][1]]])
        assert ((ids == i).any(axis=1) == expected).all() and expected.any()
    assert len(slices.names) == 1 + 3 + 7


def test_features_of_slices_and_of_their_names():
    assert features_of("tab") == ("tab",)
    assert features_of("tab&age") == features_of("tab=1 & age=x=y") == ("tab", "age")


def test_a_value_may_hold_the_sign_of_a_cross():
    assert conditions_of("genre=R&B") == (("genre", "R&B"),)
    assert conditions_of("genre=r & b & tab=1") == (("genre", "r & b"), ("tab", "1"))
    assert slice_name(conditions_of("a=1&b=2")) == "a=1 & b=2"


def test_a_value_that_reads_as_a_cross_has_no_slice_where_there_is_that_cross():
    batch = {"a": coded(pa.array(["x & b=1", "x", "y & c=1"])), "b": coded(pa.array([2, 1, 1]))}
    alone = Slices.most_frequent(["a"], [batch], 9)
    assert alone.names[1:] == ["a=x", "a=x & b=1", "a=y & c=1"]
    crossed = Slices.most_frequent(["a", "a & b"], [batch], 9)
    assert crossed.names[1:] == ["a=x", "a=y & c=1", "a=x & b=1", "a=x & b=1 & b=2", "a=y & c=1 & b=1"]
    assert crossed.ids(batch, 3).tolist() == [[0, -1, 4], [0, 1, 3], [0, 2, 5]]
