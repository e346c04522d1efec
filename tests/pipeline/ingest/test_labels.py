"""Label, mask and weight by hand."""

import numpy as np
import pyarrow as pa

from pipeline.ingest.batch import Batch
from pipeline.ingest.labels import Labels
from pipeline.recipe.tasks import BinaryTask, MulticlassTask, OrdinalTask, RegressionTask

TYPES = {"clicked": "int", "paid": "float", "w": "float", "p": "float", "kind": "string"}


def run(tasks, references=None, **columns):
    arrays = {n: pa.array(v) for n, v in columns.items()}
    batch = Batch(arrays, np.arange(1, 1 + len(next(iter(arrays.values())))), lambda i: None)
    Labels(tasks, references or {}, TYPES)(batch)
    assert all(c.type == pa.float32() for n, c in batch.columns.items() if "/" in n)
    return {n: c.to_pylist() for n, c in batch.columns.items() if "/" in n}, batch.problems


def test_mask_is_where_the_label_is_known_and_the_condition_holds():
    got, problems = run(
        {
            "click": BinaryTask(kind="binary", label="clicked"),
            "spend": RegressionTask(kind="regression", label="paid", where="clicked == 1", weight="w"),
        },
        clicked=[1, 0, None, 1, 1],
        paid=[2.5, 9.0, 9.0, None, 1e300],
        w=[0.5, -1.0, None, 3.0, 1.0],
    )
    # a weight is not looked at where there is no label
    assert {row: (p.kind, p.reason) for row, p in problems.items()} == {
        4: ("spend: label is beyond float32", "the label of spend is 1e+300; labels are float32, to 3.4e38")
    }
    assert got["click/label"] == [1, 0, 0, 1, 1] and got["click/mask"] == [1, 1, 0, 1, 1]
    assert got["click/weight"] == [1, 1, 0, 1, 1]
    assert got["spend/label"] == [2.5, 0, 0, 0, 0] and got["spend/mask"] == [1, 0, 0, 0, 0]
    assert got["spend/weight"] == [0.5, 0, 0, 0, 0]


def test_wrong_labels_and_weights_are_dead():
    _, problems = run(
        {"click": BinaryTask(kind="binary", label="clicked", weight="w")},
        clicked=[2, 1, 1, 1, 0, None],
        w=[1.0, -0.5, None, 1e300, 0.0, -1.0],
    )
    assert {row: p.reason for row, p in problems.items()} == {
        0: "the label of click is 2, neither 0 nor 1",
        1: "the weight of click is -0.5; it must be a number from 0",
        2: "the weight of click is missing; it must be a number from 0",
        3: "the weight of click is 1e+300; it must be a number from 0",
    }


def test_conditions_as_labels_and_references():
    got, problems = run(
        {"big": BinaryTask(kind="binary", label="paid > 5 and kind != 'x'")},
        {"big": {"truth": "p * 2", "constant": "1"}},
        paid=[9.0, 9.0, None],
        kind=["a", "x", ""],
        p=[0.25, None, 0.5],
    )
    assert not problems and got["big/label"] == [1, 0, 0] and got["big/mask"] == [1, 1, 1]
    np.testing.assert_equal(got["big/reference/truth"], [0.5, np.nan, 1.0])
    assert got["big/reference/constant"] == [1, 1, 1]


def test_classes_are_places_in_their_list():
    got, problems = run(
        {
            "reaction": MulticlassTask(kind="multiclass", label="kind", classes=["none", "like", "share"]),
            "stars": OrdinalTask(kind="ordinal", label="clicked", classes=[1, 3, 5]),
            "count": OrdinalTask(kind="ordinal", label="paid", classes=3, where="clicked == 1", weight="w"),
        },
        kind=["like", "none", "", None, "share"],
        clicked=[5, 1, None, 3, 1],
        paid=[7.0, 2.0, 1.0, 0.5, 0.0],
        w=[1.0, 2.0, 1.0, 1.0, 3.0],
    )
    assert not problems  # what is no class is not looked at where there is no label
    assert got["reaction/label"] == [1, 0, 0, 0, 2] and got["reaction/mask"] == [1, 1, 0, 0, 1]
    assert got["stars/label"] == [2, 0, 0, 1, 0] and got["stars/mask"] == [1, 1, 0, 1, 1]
    assert got["count/label"] == [0, 2, 0, 0, 0] and got["count/weight"] == [0, 2, 0, 0, 3]


def test_labels_that_are_no_class_or_below_0_are_dead():
    _, problems = run(
        {
            "reaction": MulticlassTask(kind="multiclass", label="kind", classes=["none", "like"]),
            "stars": OrdinalTask(kind="ordinal", label="paid", classes=3),
            "spend": RegressionTask(kind="regression", label="p", loss="ziln"),
            "change": RegressionTask(kind="regression", label="p"),
        },
        kind=["like", "share", "none", "none"],
        paid=[2.0, 1.0, 2.5, 0.0],
        p=[0.0, 1.0, 2.0, -3.0],
    )
    assert {row: (p.kind, p.reason) for row, p in problems.items()} == {
        1: (
            "reaction: label is not one of its classes",
            "the label of reaction is 'share', not one of its classes",
        ),
        2: ("stars: label is not one of its classes", "the label of stars is 2.5, not one of its classes"),
        3: (
            "spend: label is below 0",
            "the label of spend is -3; with loss ziln it must be a number from 0",
        ),
    }
