import numpy as np
import pytest
import tensorflow as tf

from mtl_models import Layout

LAYOUT = Layout.of({"item": 50, "recent": ("item", 3)}, ["age", "price"], {"title": 2}, side=["duration"])
COLUMNS = {
    "item": np.array([3, 7]),
    "recent": np.array([[1], [2]]),
    "age": np.array([0.5, 1.0]),
    "price": np.array([[2.0], [3.0]]),
    "title": np.ones((2, 2)),
    "duration": np.array([9.0, 8.0]),
}


def test_columns_are_packed():
    packed = {name: np.asarray(values).tolist() for name, values in LAYOUT.pack(COLUMNS).items()}
    assert packed == {
        "ids": [[3, 1, -1, -1], [7, 2, -1, -1]],
        "numbers": [[0.5, 2.0], [1.0, 3.0]],
        "vector_title": [[1.0, 1.0], [1.0, 1.0]],
        "duration": [9.0, 8.0],
    }
    again = {name: np.asarray(values).tolist() for name, values in LAYOUT.pack(LAYOUT.pack(COLUMNS)).items()}
    assert again == packed


@pytest.mark.parametrize(
    "wrong, error, words",
    [
        ({"item": np.array([3.0, 7.0])}, TypeError, "feature 'item': ids must be integers, and are float64"),
        ({"item": np.array([[3, 1], [7, 2]])}, ValueError, "'item': 2 values a row, but the layout holds 1"),
        ({"age": np.ones((2, 2))}, ValueError, "input 'age' must have 1 values a row; its shape is \\(2, 2"),
        ({"title": np.ones((2, 3))}, ValueError, "input 'title' must have 2 values a row"),
        ({"ids": np.zeros((2, 3), int)}, ValueError, "input 'ids' must have 4 values a row"),
        ({"numbers": np.zeros(2)}, ValueError, "input 'numbers' must have 2 values a row"),
    ],
)
def test_says_which_column_is_wrong(wrong, error, words):
    with pytest.raises(error, match=words):
        LAYOUT.pack(COLUMNS | wrong)


def test_inputs_are_a_dict():
    with pytest.raises(TypeError, match="inputs must be a dict of columns .item, recent, age"):
        LAYOUT.pack(np.ones((2, 3)))


def test_a_traced_function_takes_lists_of_any_length_and_columns_of_either_form():
    """As Keras' `fit` and `predict` trace: from the second form on, what differs is not known."""
    traced = tf.function(lambda columns: LAYOUT.pack(columns), reduce_retracing=True)
    for width, rank in ((3, 1), (1, 1), (2, 2), (3, 2), (1, 1)):
        shape = (2, 1) if rank == 2 else (2,)
        columns = {**COLUMNS, "recent": np.arange(2 * width).reshape(2, width)}
        columns |= {name: np.reshape(COLUMNS[name], shape) for name in ("item", "age", "price")}
        for name, values in LAYOUT.pack(columns).items():
            np.testing.assert_array_equal(traced(columns)[name], values)


@pytest.mark.parametrize("part", [{"numbers": "age"}, {"side": "request"}])
def test_a_text_is_no_list_of_names(part):
    [(name, text)] = part.items()
    with pytest.raises(ValueError, match=f"layout: {name} must be a list of names; it is '{text}'"):
        Layout.of({"item": 5}, **part)
