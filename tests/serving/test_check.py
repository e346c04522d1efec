"""The check before push: a model in a process of its own, asked as clients ask."""

import numpy as np
import tensorflow as tf

from serving import check as module
from serving.check import check

ROWS = {"id": np.array([b"a", b"\xff\xfe", b""], object), "price": np.float32([1, np.nan, 3])}
RIGHT = {"click": np.float32([2, -1, 6]), "classes": np.float32([[1, 1], [2, -1], [0, 3]])}


class Model(tf.Module):
    """`click`: twice the price, or -1; `classes`: the id's length and the price, or -1."""

    @tf.function(
        input_signature=[
            {
                "id": tf.TensorSpec([None], tf.string, "id"),
                "price": tf.TensorSpec([None], tf.float32, "price"),
            }
        ]
    )
    def call(self, x):
        price = tf.where(tf.math.is_nan(x["price"]), -1.0, x["price"])
        length = tf.cast(tf.strings.length(x["id"]), tf.float32)
        return {"click": tf.where(price < 0, -1.0, 2 * price), "classes": tf.stack([length, price], 1)}


class OfThisProcess(tf.Module):
    """Answers only where Python knows the function: in the process that saved it."""

    @tf.function(input_signature=[{"price": tf.TensorSpec([None], tf.float32, "price")}])
    def call(self, x):
        twice = tf.numpy_function(lambda p: 2 * p, [x["price"]], tf.float32)
        return {"click": tf.ensure_shape(twice, [None])}


def saved(model, folder):
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.call})
    return folder


def test_a_right_model_is_measured(tmp_path, monkeypatch):
    place, seen, compare = tmp_path / "place", [], module._compare
    place.mkdir()
    monkeypatch.setattr(
        module, "_compare", lambda *given: seen.append(list(place.iterdir())) or compare(*given)
    )
    found = check(saved(Model(), tmp_path / "model"), ROWS, RIGHT, 1e-6, place)
    assert len(seen[0]) == 1 and not list(place.iterdir())
    assert (found.error, found.rows, found.largest_difference) == ("", 3, 0)
    assert 0 < found.load_seconds < 60 and 0 < found.latency_ms < 5000
    files = sum(p.stat().st_size for p in (tmp_path / "model").rglob("*") if p.is_file())
    assert found.size_mb == files / 2**20
    assert 100 < found.memory_mb < 10_000  # of a process that has TensorFlow in it


def test_a_difference_is_told_by_row_and_class(tmp_path):
    wrong = RIGHT | {"classes": RIGHT["classes"] + np.float32([[0, 0], [0, 0], [0, 1e-3]])}
    found = check(saved(Model(), tmp_path), ROWS, wrong, 1e-6)
    assert found.error == (
        "over gRPC classes answered 3 for row 2, class 1, where offline prediction gave 3.0009999; "
        "the tolerance is 1e-06"
    )


def test_a_model_that_needs_more_than_its_files(tmp_path):
    rows = {"price": ROWS["price"]}
    found = check(saved(OfThisProcess(), tmp_path), rows, {"click": RIGHT["click"]}, 1e-6)
    assert "the served model refused real rows: " in found.error and "callback" in found.error


def test_a_model_that_cannot_be_loaded_and_one_that_takes_too_long(tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08")
    found = check(tmp_path, ROWS, RIGHT, 1e-6)
    assert found.error.startswith("the model could not be served: no version could be loaded")
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.05)
    assert "took more than 0.05 s" in check(tmp_path, ROWS, RIGHT, 1e-6).error
