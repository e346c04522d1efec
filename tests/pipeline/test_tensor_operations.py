"""Expressions give the same with NumPy, where labels are made, and in TensorFlow's graph."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest import numpy_operations
from pipeline.recipe.expressions import parse
from pipeline.tensor_operations import TensorOperations

TYPES = {"a": "int", "b": "float", "t": "int", "s": "string", "u": "string"}
EXPRESSIONS = [
    "a + b * 2 - 1",
    "a / b",
    "a // b",
    "a % 7",
    "-a",
    "log1p(b)",
    "sqrt(b)",
    "abs(a)",
    "floor(b)",
    "minimum(a, b)",
    "maximum(a, b)",
    "clip(b, -1, 1)",
    "days(t)",
    "days(t, 8)",
    "hour(t, -5)",
    "weekday(t)",
    "a > b",
    "a != b",
    "a == 3 and b < 0 or not (s == 'x')",
    "s != u",
    "is_missing(b)",
    "is_missing(s)",
    "if_missing(b, a)",
    "if_missing(s, 'none')",
    "1 if a > 0 else b",
    "lower(s)",
    "cross(s, u)",
    "cross(a, s)",
    "cross(a > 1, s)",
    "is_missing(a > 1)",
    "if_missing(a > 1, b > 2)",
    "cross(b, s)",
]
numbers = st.one_of(
    st.just(math.nan), st.integers(-50, 50).map(float), st.floats(-100, 100).map(lambda x: round(x, 3))
)
wholes = st.one_of(st.just(math.nan), st.integers(-50, 50).map(float))
times = st.one_of(st.just(math.nan), st.integers(-(10**12), 2 * 10**12).map(float))
texts = st.sampled_from(["", "x", "Y", "ÄÖ", "a_x_b", "long text"])


@functools.cache
def in_graph(text):
    """The expression as serving computes it: TensorFlow optimizes graphs, and eager operations not."""
    spec = {n: tf.TensorSpec([None], tf.string if t == "string" else tf.float64) for n, t in TYPES.items()}
    return tf.function(
        lambda **values: parse(text, TYPES).evaluate(values, TensorOperations)
    ).get_concrete_function(**spec)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(wholes, numbers, times, texts, texts), min_size=1, max_size=20))
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_numpy_and_tensorflow_agree(text, rows):
    a, b, t, s, u = zip(*rows)
    expression = parse(text, TYPES)
    arrays = {
        "a": np.array(a),
        "b": np.array(b),
        "t": np.array(t),
        "s": np.array(s, object),
        "u": np.array(u, object),
    }
    tensors = {
        n: tf.constant(x.tolist(), tf.string if x.dtype == object else tf.float64) for n, x in arrays.items()
    }
    got = tf.broadcast_to(in_graph(text)(**tensors), [len(rows)]).numpy()
    want = np.broadcast_to(expression.evaluate(arrays, numpy_operations), [len(rows)])
    if expression.type == "string":
        assert [x.decode() for x in got] == list(want)
    else:
        np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=1e-12, atol=1e-12)


def test_by_hand():
    values = {
        n: tf.constant([""] if t == "string" else [0.0], tf.string if t == "string" else tf.float64)
        for n, t in TYPES.items()
    }
    values["t"] = tf.constant(
        [1_709_596_800_000.0 + 3_600_000 * 25], tf.float64
    )  # 2024-03-06T01:00Z, a Wednesday
    for text, want in {"weekday(t)": 2, "hour(t)": 1, "hour(t, -2)": 23, "days(t, -2)": 19787}.items():
        assert in_graph(text)(**values).numpy() == [want], text


def test_whole_quotients_stay_whole_in_a_graph():
    rows = np.arange(0.0, 200.0)
    nothing = {"b": tf.zeros(200, tf.float64), "s": tf.fill([200], ""), "u": tf.fill([200], "")}
    columns = {"a": tf.constant(rows * 100), "t": tf.constant(rows * 3_600_000), **nothing}
    np.testing.assert_array_equal(in_graph("a // 100")(**columns), rows)
    np.testing.assert_array_equal(in_graph("hour(t)")(**columns), rows % 24)
    np.testing.assert_array_equal(in_graph("floor(a / 100)")(**columns), rows)
