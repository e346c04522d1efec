"""Which older models a run measures on which rows, and that they are measured on the same, evenly taken."""

import json

import numpy as np
import pytest

from pipeline.recipe.spans import Spans
from pipeline.spans.calendar import Calendar
from pipeline.staleness import measured_spans, pushed_models
from serving import versions


def version(folder, number, span, whole=True):
    made = folder / str(number)
    (made / "assets.extra").mkdir(parents=True)
    (made / "assets.extra" / versions.RECORD).write_text(json.dumps({"span": span, "model": f"m{number}"}))
    (made / "variables").mkdir()
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (made / name).write_text("x" if whole else "")


def test_the_newest_version_of_each_earlier_span(tmp_path):
    version(tmp_path, 1, "2024-03-01")
    version(tmp_path, 2, "2024-03-04")
    version(tmp_path, 3, "2024-03-04")
    version(tmp_path, 4, "2024-03-05", whole=False)
    version(tmp_path, 5, "2024-03-06")
    version(tmp_path, 6, "2024-03-02")
    version(tmp_path, 7, "2024-03-03T05")
    version(tmp_path, 8, "2024-02-29")
    calendar = Calendar.of(Spans())
    found = pushed_models(tmp_path, calendar, "2024-03-06")
    told = [(m["age"], m["version"], m["model"]) for m in found]
    assert told == [(0, "5", "m5"), (2, "3", "m3"), (4, "6", "m6"), (5, "1", "m1")]
    assert [m["age"] for m in pushed_models(tmp_path, calendar, "2024-03-07")] == [1, 3, 5]
    assert pushed_models(tmp_path / "none", calendar, "2024-03-06") == []


def ages(folder, span, **judged):
    found = measured_spans(folder, Calendar.of(Spans()), span, judged)
    return [(of["span"], of["tasks"], [(m["age"], m["version"]) for m in of["models"]]) for of in found]


def test_a_late_task_is_measured_on_the_span_it_is_judged_on_by_models_that_saw_nothing_of_it(tmp_path):
    for number, span in enumerate(("01", "02", "03", "04", "05", "06"), start=1):
        version(tmp_path, number, f"2024-03-{span}")
    # the sixth serves too when the same run is given again: it is no older model
    assert ages(tmp_path, "2024-03-06", click="2024-03-06", buy="2024-03-03", rent="", like="2024-03-06") == [
        ("2024-03-06", ["click", "like"], [(1, "5"), (2, "4"), (3, "3")]),
        ("2024-03-03", ["buy"], [(0, "3"), (1, "2"), (2, "1")]),
    ]


def test_one_age_alone_is_not_measured(tmp_path):
    version(tmp_path, 1, "2024-03-03")
    both = {"click": "2024-03-04", "buy": "2024-03-03"}
    assert ages(tmp_path, "2024-03-04", **both) == [("2024-03-04", ["click"], [(1, "1")])]
    assert ages(tmp_path, "2024-03-03", click="2024-03-03") == []
    version(tmp_path, 2, "2024-03-01")
    assert ages(tmp_path, "2024-03-04", **both)[1] == ("2024-03-03", ["buy"], [(0, "1"), (2, "2")])
    assert ages(tmp_path, "2024-03-04", buy="2024-03-03") == ages(tmp_path, "2024-03-04", **both)[1:]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A model that knows the label, one that knows its opposite, one without the task, and a broken one."""
    import tensorflow as tf

    from pipeline.evaluation.staleness import Aged, Rows, measure_ages
    from pipeline.recipe import loads

    recipe = loads(
        """
version: 1
name: aged
sources: {log: {files: l.csv, columns: {user_id: string, x: float, y: {type: int, known: after}}}}
roles: {user: user_id}
features: {x: {kind: numeric}}
tasks: {y: {kind: binary, label: y}}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""
    )
    folder = tmp_path_factory.mktemp("aged")
    (folder / "Split-closed-5").mkdir()
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    with tf.io.TFRecordWriter(str(folder / "Split-closed-5/data.tfrecord")) as writer:
        for i, label in enumerate(labels):
            x = tf.train.Feature(float_list=tf.train.FloatList(value=[label + rng.normal()]))
            one = tf.train.Feature(float_list=tf.train.FloatList(value=[1.0]))
            y = tf.train.Feature(float_list=tf.train.FloatList(value=[float(label)]))
            user = tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"u{i % 50}".encode()]))
            of = {"x": x, "y/label": y, "y/mask": one, "y/weight": one, "user_id": user}
            writer.write(tf.train.Example(features=tf.train.Features(feature=of)).SerializeToString())

    def saved(name, task, sign):
        module = tf.Module()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve_examples(examples):
            read = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32)})
            return {task: sign * read["x"]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serving_default(x):
            return {task: sign * x}

        signatures = {"serve_examples": serve_examples, "serving_default": serving_default}
        tf.saved_model.save(module, str(folder / name), signatures=signatures)
        return str(folder / name)

    models = [
        Aged(0, "d3", "", saved("new", "y", 1.0)),
        Aged(1, "d2", "2", saved("old", "y", -1.0)),
        Aged(2, "d1", "1", saved("other", "z", 1.0)),
        Aged(3, "d0", "0", str(folder / "none")),
    ]
    of_span = Rows(str(folder), "closed-5", 3000)
    return {rows: measure_ages(recipe, of_span, ["y"], models, rows) for rows in (5000, 800)}


def test_all_models_are_measured_on_the_same_rows(measured):
    whole = measured[5000]
    new, old, other, broken = whole["tasks"]["y"]
    assert whole["rows"] == 3000
    assert new["auc"] == pytest.approx(0.76, abs=0.02) and new["auc"] + old["auc"] == pytest.approx(1)
    assert new["interval"][0] < new["auc"] < new["interval"][1]
    assert new["interval"][0] + old["interval"][1] == pytest.approx(1)
    assert (other["auc"], other["note"]) == (None, "has no such task")
    assert broken["auc"] is None and broken["note"].startswith("could not be loaded")
    assert (old["age"], old["span"], old["version"]) == (1, "d2", "2") and "path" not in old


def test_of_many_rows_an_even_share_is_taken(measured):
    assert 700 <= measured[800]["rows"] <= 800
    assert measured[800]["tasks"]["y"][0]["auc"] == pytest.approx(0.76, abs=0.04)
