import numpy as np
import pytest

from mtl_models import EpochRecorder, HardSharing, Layout, MultiTaskModel, Task, array_batches
from mtl_models.training.check import check_arrays, check_labels

LAYOUT = Layout.of({"item": 9}, ["age", "price"])
TASKS = [
    Task("click", "binary"),
    Task("watch", "regression"),
    Task("stars", "ordinal", classes=3),
]
X = {"item": np.arange(4), "age": np.ones(4), "price": np.zeros(4)}
Y = {"click": np.array([0, 1, 0.5, 1]), "watch": np.array([-3.0, 0, 1e9, 2]), "stars": np.array([0, 2, 1, 2])}


def test_what_fits_is_taken():
    check_arrays((X, Y), LAYOUT, TASKS)
    check_arrays((LAYOUT.pack(X), {name: values[:, None] for name, values in Y.items()}), LAYOUT, TASKS)
    unknown = {name: np.full(4, np.nan) for name in Y}
    check_arrays((X, unknown, {name: np.zeros(4) for name in Y}), LAYOUT, TASKS)


def changed(name, row, value):
    values = Y[name].astype(float)
    values[row] = value
    return {**Y, name: values}


@pytest.mark.parametrize(
    "labels, words",
    [
        (changed("click", 2, 2.0), "'click': labels must be 0 or 1. 1 of 4 rows .* row 2, which has 2"),
        (changed("click", 1, np.nan), "'click': labels must be finite .* weight 0. .* row 1, which has nan"),
        (changed("watch", 3, np.inf), "'watch': labels must be finite"),
        (changed("stars", 0, 3), "'stars': labels must be its classes' numbers, from 0 to 2. .* row 0"),
        (changed("stars", 0, 0.5), "'stars': labels must be its classes' numbers"),
    ],
)
def test_a_label_that_does_not_fit_is_named_with_its_row(labels, words):
    with pytest.raises(ValueError, match=words):
        check_labels(TASKS, labels, None)
    [name] = [name for name in Y if labels[name] is not Y[name]]
    # without weight it may be anything
    check_labels(TASKS, labels, {name: np.isclose(labels[name], Y[name])})


def test_weights_and_types():
    with pytest.raises(ValueError, match="'watch': weights must be finite, at least 0. 1 of 4 .* row 3"):
        check_labels(TASKS, Y, {"watch": np.array([1, 0, 2, -1.0])})
    with pytest.raises(TypeError, match="'click': labels must be numbers, and are of type <U"):
        check_labels(TASKS, {**Y, "click": np.array(list("abcd"))}, None)


@pytest.mark.parametrize("packed", [False, True])
def test_a_number_that_is_missing_is_named(packed):
    x = {**X, "price": np.array([0, 1, np.nan, 2])}
    with pytest.raises(ValueError, match="the number 'price' is not finite in row 2"):
        check_arrays((LAYOUT.pack(x) if packed else x, Y), LAYOUT, TASKS)


@pytest.mark.parametrize(
    "x, y, error, words",
    [
        ({**X, "item": np.array(list("abcd"))}, Y, TypeError, "'item': ids must be integers, and are string"),
        (X, {**Y, "click": np.ones((4, 2))}, ValueError, "labels of task 'click' must be one number a row"),
        (X, {**Y, "click": [1, 0, 1, 0]}, TypeError, "must be arrays; there is a int"),
        (X, {}, KeyError, "missing: click, watch, stars"),
        (np.ones((4, 3)), Y, TypeError, "inputs must be a dict of columns"),
    ],
)
def test_fit_says_so_before_the_first_step(x, y, error, words):
    model = MultiTaskModel(LAYOUT, TASKS, HardSharing(units=(4,)))
    with pytest.raises(ValueError, match="fit needs a compiled model"):
        model.fit(x, y)
    model.compile("adam")
    with pytest.raises(error, match=words):
        model.fit(x, y, verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_arrays_of_batches_and_of_validation_are_looked_at_too():
    model = MultiTaskModel(LAYOUT, TASKS, HardSharing(units=(4,)))
    model.compile("adam", jit_compile=True)
    wrong = changed("click", 2, 2.0)
    for groups in (None, np.arange(4)):
        with pytest.raises(ValueError, match="labels must be 0 or 1"):
            model.fit(array_batches((LAYOUT.pack(X), wrong), 2, groups=groups), verbose=0)
    for validation, error, words in (
        ((X, wrong), ValueError, "labels must be 0 or 1"),
        ((X, {"click": Y["click"]}), KeyError, "validation_data has no labels of watch, stars"),
    ):
        with pytest.raises(error, match=words):
            model.fit(X, Y, verbose=0, callbacks=[EpochRecorder(validation)])
    assert int(model.optimizer.iterations) == 0
