"""A recipe's expressions on tensors, inside the exported graph.

Numbers are float64 with NaN for a missing value, texts strings with "" for one, conditions booleans;
`pipeline.ingest.numpy_operations` is the same for NumPy, and a test holds the two against each other.
"""

import math

import tensorflow as tf

_DAY = 86_400_000
_COMPARE = {
    "equal": tf.equal,
    "not_equal": tf.not_equal,
    "less": tf.less,
    "less_equal": tf.less_equal,
    "greater": tf.greater,
    "greater_equal": tf.greater_equal,
}


def _missing(x: tf.Tensor) -> tf.Tensor:
    if x.dtype == tf.bool:
        return tf.zeros_like(x)
    return tf.equal(x, "") if x.dtype == tf.string else tf.math.is_nan(x)


def _quotient(a: tf.Tensor, b: tf.Tensor | float) -> tf.Tensor:
    # Graphs are optimized: a / constant becomes a * (1 / constant), and 7,200,000 / 3,600,000 then is
    # 1.9999999999999998, whose floor is 1. This operation is left alone, and so gives what NumPy gives.
    b = tf.convert_to_tensor(b, tf.float64)
    return tf.where(tf.equal(b, 0), tf.constant(math.nan, tf.float64), tf.math.divide_no_nan(a, b))


def _finite(x: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_inf(x), tf.constant(math.nan, x.dtype), x)


def _local(time: tf.Tensor, hours: tf.Tensor | None) -> tf.Tensor:
    return time if hours is None else time + hours * 3_600_000


class TensorOperations:
    """One method an operation; columns are of shape `[rows]`."""

    @staticmethod
    def constant(value: bool | int | float | str) -> tf.Tensor:
        if isinstance(value, (bool, str)):
            return tf.constant(value)
        return tf.constant(value, tf.float64)

    add = staticmethod(tf.add)
    subtract = staticmethod(tf.subtract)
    multiply = staticmethod(tf.multiply)

    @staticmethod
    def divide(a, b):
        return _finite(_quotient(a, b))

    @staticmethod
    def floor_divide(a, b):
        return _finite(tf.floor(_quotient(a, b)))

    @staticmethod
    def mod(a, b):
        return _finite(a - tf.floor(_quotient(a, b)) * b)

    @staticmethod
    def compare(name, a, b):
        if a.dtype == tf.bool:
            a, b = tf.cast(a, tf.int32), tf.cast(b, tf.int32)
        if not a.dtype.is_floating:
            return _COMPARE[name](a, b)
        return _COMPARE[name](a, b) & ~_missing(a) & ~_missing(b)

    logical_and = staticmethod(tf.logical_and)
    logical_or = staticmethod(tf.logical_or)
    logical_not = staticmethod(tf.logical_not)
    where = staticmethod(tf.where)

    @staticmethod
    def log1p(x):
        return _finite(tf.math.log1p(x))

    @staticmethod
    def sqrt(x):
        return tf.where(x < 0, tf.constant(math.nan, x.dtype), tf.sqrt(x))

    abs = staticmethod(tf.abs)
    floor = staticmethod(tf.floor)

    @staticmethod
    def minimum(a, b):
        return tf.where(_missing(a) | _missing(b), tf.constant(math.nan, tf.float64), tf.minimum(a, b))

    @staticmethod
    def maximum(a, b):
        return tf.where(_missing(a) | _missing(b), tf.constant(math.nan, tf.float64), tf.maximum(a, b))

    @classmethod
    def clip(cls, x, low, high):
        return cls.minimum(cls.maximum(x, low), high)

    @staticmethod
    def days(time, hours=None):
        return tf.floor(_quotient(_local(time, hours), _DAY))

    @staticmethod
    def hour(time, hours=None):
        local = _local(time, hours)
        return tf.floor(_quotient(local - tf.floor(_quotient(local, _DAY)) * _DAY, 3_600_000))

    @staticmethod
    def weekday(time, hours=None):
        day = tf.floor(_quotient(_local(time, hours), _DAY)) + 3  # 1970-01-01 was a Thursday
        return day - tf.floor(_quotient(day, 7)) * 7

    is_missing = staticmethod(_missing)

    @staticmethod
    def if_missing(x, other):
        return tf.where(_missing(x), other, x)

    @staticmethod
    def lower(text):
        return tf.strings.lower(text, encoding="utf-8")

    @classmethod
    def cross(cls, a, b):
        return tf.where(_missing(a) | _missing(b), "", tf.strings.join([cls.text(a), cls.text(b)], "_x_"))

    @staticmethod
    def text(x):
        """A value as the text that a vocabulary knows it by; whole numbers without a point."""
        if x.dtype == tf.string:
            return x
        if x.dtype == tf.bool:
            return tf.where(x, "1", "0")
        whole = tf.equal(x, tf.floor(x))
        as_int = tf.strings.as_string(tf.cast(tf.where(whole, x, tf.zeros_like(x)), tf.int64))
        text = tf.where(whole, as_int, tf.strings.as_string(x, shortest=False, precision=6))
        return tf.where(tf.math.is_nan(x), "", text)
