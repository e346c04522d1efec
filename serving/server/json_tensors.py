"""The REST body: JSON to arrays and back, as util/json_tensor.cc has it."""

import base64
import binascii
import json
import math
import re
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.errors import invalid
from serving.server.servable import Servable

_FLOATS = (tf.float32, tf.float64)
_LARGEST_INT = {tf.float32: (1 << 24) - 1, tf.float64: (1 << 53) - 1}
_LONG = re.compile(rb"[eE]\+?\d{3}|\d{309}")  # no number without such a part is beyond float64
_SHOWN = 200  # characters of a wrong value that a message repeats


def parse(body: bytes) -> dict[str, Any]:
    """The request as an object; its `signature_name` is a text, or missing."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        # a function of Python for each number, where there may be one that Python takes for Infinity
        found = json.loads(body, parse_float=_finite if _LONG.search(body) else None)
    except RecursionError:
        raise invalid("JSON Parse error: nested too deeply") from None
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(found, dict):
        raise invalid(f"JSON Value: {_shown(found)} Is not object")
    if not isinstance(found.get("signature_name", ""), str):
        raise invalid(
            f"JSON Value: {_shown(found)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    if "instances" in found and "inputs" in found:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
    if "instances" not in found and "inputs" not in found:
        raise invalid("Missing 'inputs' or 'instances' key")
    return found


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError("Number too big to be stored in double.")
    return value


def inputs_of(request: dict[str, Any], servable: Servable) -> dict[str, np.ndarray]:
    """The arrays that a request's `instances` or `inputs` make; every input of the signature is wanted.

    The REST front of TensorFlow Serving does not apply the defaults of a SignatureDef; gRPC does. Unknown
    names in `inputs` are refused here, where TensorFlow Serving drops them.
    """
    name = request.get("signature_name") or "serving_default"
    if name not in servable.signatures:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    infos = servable.signatures[name].inputs
    if not infos:
        raise invalid(f"Failed to get input map for signature: {name}")
    if "inputs" in request:
        return _from_columns(request["inputs"], infos)
    return _from_rows(request["instances"], infos)


def _from_columns(value: Any, infos: dict[str, meta_graph_pb2.TensorInfo]) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or _is_base64(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        value = {next(iter(infos)): value}
    for name in sorted(infos):
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    for name in value:
        if name not in infos:
            raise invalid(f"'inputs' object: does not have named input: {name}")
    return {name: _array(value[name], infos[name].dtype) for name in infos}


def _from_rows(rows: Any, infos: dict[str, meta_graph_pb2.TensorInfo]) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise invalid("Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid("No values in 'instances' array")
    objects = [isinstance(row, dict) and not _is_base64(row) for row in rows]
    if not objects[0]:
        if len(infos) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors required "
                "as per tensorinfo_map"
            )
        if any(objects):
            raise invalid(f"Expecting value/list but got object at item {objects.index(True)} of input list")
        name = next(iter(infos))
        return {name: _rows_array(rows, name, infos[name].dtype)}
    wanted = set(infos)
    for at, row in enumerate(rows):
        if not objects[at]:
            raise invalid(f"Expecting object but got list at item {at} of input list")
        if row.keys() != wanted:
            if unknown := sorted(set(row) - wanted):
                raise invalid(
                    f"Failed to process element: {at} key: {unknown[0]} of 'instances' list. Error: "
                    f"JSON object: does not have named input: {unknown[0]}"
                )
            raise invalid(
                f"Failed to process element: {at} of 'instances' list. JSON object: {_shown(row)} "
                f"keys must be equal to: {','.join(sorted(wanted))}"
            )
    return {n: _rows_array([row[n] for row in rows], n, i.dtype) for n, i in infos.items()}


def _rows_array(values: list[Any], name: str, dtype: int) -> np.ndarray:
    shape = _shape(values[0])
    for at, value in enumerate(values):
        if _shape(value) != shape:
            raise invalid(
                f"Failed to process element: {at} key: {name} of 'instances' list. Error: "
                f"Expecting shape {shape} but got: {_shape(value)}"
            )
    return _array(values, dtype)


def _array(value: Any, number: int) -> np.ndarray:
    dtype = tf.dtypes.as_dtype(number)
    shape = _shape(value)
    flat = [value]
    for level, size in enumerate(shape):
        for one in flat:
            if not isinstance(one, list):
                raise invalid(
                    f"JSON Value: {_shown(one)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            if len(one) != size:
                raise invalid(
                    f"Encountered list at unexpected size: {len(one)} at level: {level} expected size: {size}"
                )
        flat = [x for one in flat for x in one]
    if dtype == tf.string:
        found = np.empty(len(flat), object)
        found[:] = [_text(x) for x in flat]
        return found.reshape(shape)
    _check_numbers(flat, dtype, len(shape))
    return np.array(flat, dtype.as_numpy_dtype).reshape(shape)


def _check_numbers(flat: list[Any], dtype: tf.DType, rank: int) -> None:
    allowed = {bool} if dtype == tf.bool else {int, float} if dtype in _FLOATS else {int}
    if not set(map(type, flat)) <= allowed:
        wrong = next(x for x in flat if type(x) not in allowed)
        if isinstance(wrong, list):
            raise invalid(f"Encountered list at unexpected level: {rank} expected < {rank}")
        raise invalid(f"JSON Value: {_shown(wrong)} is not of expected type: {dtype.name}")
    if dtype == tf.bool:
        return
    if dtype not in _FLOATS:
        least, most = dtype.min, dtype.max
        if wrong := [x for x in flat if not least <= x <= most]:
            raise invalid(f"JSON Value: {_shown(wrong[0])} is not of expected type: {dtype.name}")
        return
    largest, largest_int = float(dtype.max), _LARGEST_INT[dtype]
    for x in flat:
        too_large = abs(x) > largest_int if type(x) is int else largest < abs(x) < np.inf
        if too_large:
            raise invalid(
                f"Cannot convert JSON value: {_shown(x)} to {dtype.name} without loss of precision."
            )


def _text(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None
    if _is_base64(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise invalid("Unable to base64 decode") from None
    if isinstance(value, dict):
        raise invalid(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    raise invalid(f"JSON Value: {_shown(value)} is not of expected type: string")


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _shape(value: Any) -> list[int]:
    found = []
    while isinstance(value, list):
        found.append(len(value))
        if not value:
            break
        value = value[0]
    return found


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)[:_SHOWN]


def answer(outputs: dict[str, np.ndarray], rows: bool) -> bytes:
    """`{"predictions": [...]}` in row form, `{"outputs": {...}}` in column form; one output goes unnamed."""
    columns = {name: _plain(name, value) for name, value in outputs.items()}
    if not rows:
        return json.dumps({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}).encode()
    sizes = {name: value.shape[0] if value.ndim else None for name, value in outputs.items()}
    for name, size in sizes.items():
        if size is None:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size != (expected := next(iter(sizes.values()))):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {expected}")
    if len(columns) == 1:
        return json.dumps({"predictions": next(iter(columns.values()))}).encode()
    return json.dumps({"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]}).encode()


def _plain(name: str, value: np.ndarray) -> Any:
    if value.dtype == object:
        encode = _bytes if name.endswith("_bytes") else _string
        texts = np.empty(value.size, object)
        texts[:] = [encode(x) for x in value.reshape(-1)]
        return texts.reshape(value.shape).tolist()
    if value.dtype == np.float32:  # the shortest digits that give the same float32 again
        return value.astype("U").astype(np.float64).tolist()
    return value.tolist()


def _bytes(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _string(value: bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
