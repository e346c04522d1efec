import json

import numpy as np
import pytest

from mtl_models import CategoricalSlots, Layout, VectorInput

LAYOUT = Layout.of({"user": 10, "tags": (5, 3), "item": 7}, ["age", "price"], {"title": 4})


def test_rows_and_columns_are_given_out_in_order():
    assert [(f.first_row, f.rows, f.first_slot, f.length) for f in LAYOUT.categorical] == [
        (0, 10, 0, 1),
        (10, 5, 1, 3),
        (15, 7, 4, 1),
    ]
    assert (LAYOUT.table_rows, LAYOUT.id_slots) == (22, 5)


def test_json_round_trip():
    assert Layout.from_dict(json.loads(json.dumps(LAYOUT.to_dict()))) == LAYOUT


def test_packs_named_columns():
    packed = LAYOUT.pack(
        {
            "user": np.array([3, 9]),
            "tags": np.array([[0, 4], [-1, -1]]),
            "item": np.array([[6], [7]]),
            "age": np.array([1, 2]),
            "price": np.array([0.5, 0.25]),
            "title": np.ones((2, 4)),
        }
    )
    # item 7 is outside its 7 rows: no value, and never another feature's row
    np.testing.assert_array_equal(packed["ids"], [[3, 10, 14, -1, 21], [9, -1, -1, -1, -1]])
    np.testing.assert_array_equal(packed["numbers"], [[1, 0.5], [2, 0.25]])
    assert set(packed) == {"ids", "numbers", "vector_title"}


def test_packed_inputs_pass_unchanged():
    packed = {
        "ids": np.zeros((2, 5), "int64"),
        "numbers": np.ones((2, 2), "float32"),
        "vector_title": np.ones((2, 4), "float32"),
    }
    for key, value in LAYOUT.pack(packed).items():
        np.testing.assert_array_equal(value, packed[key])


def test_a_gap_between_columns_holds_no_value():
    layout = Layout((CategoricalSlots("a", 0, 2, 0), CategoricalSlots("b", 5, 2, 3)))
    np.testing.assert_array_equal(
        layout.pack({"a": np.array([1]), "b": np.array([0])})["ids"], [[1, -1, -1, 5]]
    )


def test_absent_parts_are_absent():
    layout = Layout(vectors=(VectorInput("title", 2),))
    assert set(layout.pack({"title": np.ones((1, 2))})) == {"vector_title"}
    assert (layout.table_rows, layout.id_slots) == (0, 0)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Layout.of({"a": 2}, ["a"]), "repeated: a"),
        (lambda: Layout.of({"ids": 2}), "'ids' names a packed input"),
        (lambda: Layout.of({"a": 0}), "'a' needs rows"),
        (lambda: Layout(), "at least one feature"),
        (
            lambda: Layout((CategoricalSlots("a", 0, 3, 0), CategoricalSlots("b", 2, 2, 1))),
            "'a' and 'b' share some of their table rows",
        ),
        (
            lambda: Layout((CategoricalSlots("a", 0, 3, 0, 2), CategoricalSlots("b", 3, 2, 1))),
            "share ids columns",
        ),
    ],
)
def test_refuses(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_missing_or_too_long_column_is_named():
    with pytest.raises(KeyError, match="'user' is missing"):
        LAYOUT.pack({"item": np.array([1])})
    with pytest.raises(ValueError, match="'tags': 4 values"):
        LAYOUT.pack({"user": np.array([3]), "tags": np.zeros((1, 4), int)})


def test_features_may_share_all_of_their_rows():
    layout = Layout.of({"user": 10, "item": 7, "last": ("item", 3)})
    item, last = layout.categorical[1:]
    assert (item.first_row, item.rows) == (last.first_row, last.rows) == (10, 7)
    assert (layout.table_rows, layout.id_slots) == (17, 5)
    packed = layout.pack({"user": np.array([1]), "item": np.array([6]), "last": np.array([[6, 0, 7]])})
    np.testing.assert_array_equal(packed["ids"], [[1, 16, 16, 10, -1]])
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    with pytest.raises(ValueError, match="'last' shares the rows of 'item', which is no earlier"):
        Layout.of({"last": ("item", 3), "item": 7})


def test_unknown_and_missing_rows():
    one, two = CategoricalSlots("a", 0, 3, 0, 1, 1, 0), CategoricalSlots("b", 0, 3, 1, 2, 1, 0)
    layout = Layout((one, two))
    assert Layout.from_dict(layout.to_dict()).categorical[1].unknown_row == 1
    with pytest.raises(ValueError, match="'a': unknown_row 3 is not one of its 3 rows"):
        Layout((CategoricalSlots("a", 0, 3, 0, 1, 3),))
    with pytest.raises(ValueError, match="'a' and 'b' share table rows and must agree"):
        Layout((one, CategoricalSlots("b", 0, 3, 1)))


def test_a_layout_written_before_these_fields():
    old = {"categorical": [{"name": "a", "first_row": 0, "rows": 2, "first_slot": 0, "length": 1}]}
    layout = Layout.from_dict({**old, "numbers": [], "vectors": []})
    assert layout.categorical[0].unknown_row is None and layout.side == ()


def test_side_inputs_are_packed_where_they_are_given():
    layout = Layout(numbers=("age",), side=("request", "duration"))
    columns = {"age": np.array([1.0]), "request": np.array([[5]]), "duration": np.array([2])}
    packed = layout.pack(columns)
    assert packed["request"].dtype == "int64" and packed["duration"].dtype == "float32"
    assert packed["request"].shape == packed["duration"].shape == (1,)
    assert set(layout.pack(packed)) == {"numbers", "request", "duration"}
    assert set(layout.pack({"age": np.array([1.0])})) == {"numbers"}
    with pytest.raises(ValueError, match="side inputs are request, duration, each once"):
        Layout(numbers=("age",), side=("user",))
