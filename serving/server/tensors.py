"""TensorProto to arrays and back, with what a stranger may send in mind."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.server.errors import invalid

_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
}
_KINDS = {number: np.dtype(tf.dtypes.as_dtype(number).as_numpy_dtype) for number in _FIELDS}


def type_name(dtype: np.dtype) -> str:
    """As TensorFlow says it."""
    return "string" if dtype == object else tf.dtypes.as_dtype(dtype).name


def from_proto(key: str, proto: tensor_pb2.TensorProto, limit: int) -> np.ndarray:
    """The array of a TensorProto, texts as objects of bytes.

    Args:
      key: the input's name, for messages.
      proto: as it came.
      limit: largest number of bytes of the array. A proto may give one value for a shape of any size.

    Raises:
      RequestError: INVALID_ARGUMENT where the proto does not make a tensor.
    """
    shape = [d.size for d in proto.tensor_shape.dim]
    field, kind = _FIELDS.get(proto.dtype), _KINDS.get(proto.dtype)
    if field is None or proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"tensor parsing error: {key}")
    count, given = math.prod(shape), len(getattr(proto, field))
    if count * kind.itemsize > limit:
        raise invalid(f"tensor parsing error: {key} unfolds to more than {limit} bytes")
    content = len(proto.tensor_content)
    whole = content == count * kind.itemsize if content and kind != object else 0 < given <= count
    if count and not whole or given > count or (content and kind == object):
        raise invalid(f"tensor parsing error: {key}: the values do not make a tensor of shape {shape}")
    if not count:
        return np.zeros(shape, kind)
    # the forms that clients send most, without tf.make_ndarray's copy and its look at every other form
    if content:
        return np.frombuffer(proto.tensor_content, kind).reshape(shape)
    if kind == object and given == count:
        return np.array(proto.string_val, object).reshape(shape)
    return tf.make_ndarray(proto)


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A TensorProto with its values in the typed field (`float_val` …), where clients look for them."""
    dtype = tf.dtypes.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if field := _FIELDS.get(dtype.as_datatype_enum):
        getattr(proto, field).extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = array.tobytes()
    return proto
