"""What a signature takes, by the server's metadata, and features checked against it before they are sent."""

import base64
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.client.errors import BadFeatures

_TYPES: dict[str, Any] = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
    "DT_STRING": object,
}
Features = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Tensor:
    """One input or output: numpy's type (objects of bytes for texts); dimensions, -1 where any will do."""

    type: np.dtype
    shape: tuple[int, ...] | None
    default: np.ndarray | None = None

    @property
    def words(self) -> str:
        """`float32 [rows]`, `texts [rows, length]`."""
        kind = "texts" if self.type == object else self.type.name
        names = ["rows", "length"] + [f"dimension {k}" for k in range(2, 9)]
        dims = [names[k] if size < 0 else str(size) for k, size in enumerate(self.shape or ())]
        return f"{kind} [{', '.join(dims)}]" if self.shape is not None else kind


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one signature, by name."""

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def check(self, features: Features) -> dict[str, np.ndarray]:
        """The arrays to send.

        Args:
          features: columns by name, or rows, each a dict. In rows what is left out or None takes the default
            of the input where it has one, and shorter lists are filled up with it.

        Raises:
          BadFeatures: a name is unknown or missing, or a value does not fit.
        """
        rows = not isinstance(features, Mapping)
        columns = _columns(features) if rows else dict(features)
        if not columns:
            raise BadFeatures(f"there are no features; {self.name} takes {', '.join(sorted(self.inputs))}")
        for name in columns:
            if name not in self.inputs:
                close = difflib.get_close_matches(name, self.inputs, 1)
                hint = f"; did you mean {close[0]}?" if close else f": {', '.join(sorted(self.inputs))}"
                raise BadFeatures(f"{name} is not an input of {self.name}{hint}")
        missing = [n for n, t in self.inputs.items() if n not in columns and t.default is None]
        if missing:
            raise BadFeatures(f"{self.name} also needs {', '.join(sorted(missing))}")
        arrays = {n: _array(n, values, self.inputs[n]) for n, values in columns.items()}
        sizes = {n: x.shape[0] for n, x in arrays.items() if x.ndim}
        counts = set(sizes.values()) - {1}
        if len(counts) > 1:
            raise BadFeatures(f"the features have different numbers of rows: {sizes}; one row serves for all")
        return arrays


def signatures(metadata: Mapping[str, Any]) -> dict[str, Signature]:
    """Of a server's `metadata.signature_def.signature_def`, in the JSON form of the protocol."""
    return {
        name: Signature(
            name,
            {n: _tensor(i, content.get("defaults", {}).get(n)) for n, i in content.get("inputs", {}).items()},
            {n: _tensor(i, None) for n, i in content.get("outputs", {}).items()},
        )
        for name, content in metadata.items()
        if not name.startswith("__")
    }


def _tensor(info: Mapping[str, Any], default: Mapping[str, Any] | None) -> Tensor:
    shape = info.get("tensor_shape", {})
    dims = None if shape.get("unknown_rank") else tuple(int(d.get("size", 0)) for d in shape.get("dim", ()))
    kind = np.dtype(_TYPES.get(info["dtype"], object))
    return Tensor(kind, dims, None if default is None else _value(default, kind))


def _value(proto: Mapping[str, Any], kind: np.dtype) -> np.ndarray:
    shape = [int(d["size"]) for d in proto.get("tensor_shape", {}).get("dim", ())]
    if proto.get("tensor_content"):
        return np.frombuffer(base64.b64decode(proto["tensor_content"]), kind).reshape(shape)
    given = next((proto[k] for k in proto if k.endswith("_val") and proto[k]), [])
    values = [base64.b64decode(v) if kind == object else kind.type(v) for v in given]
    array = np.empty(math.prod(shape), kind)
    array[:] = values + values[-1:] * (array.size - len(values))
    return array.reshape(shape)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    for at, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise BadFeatures(f"row {at} is {row!r}; rows are dicts of features by name")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _array(name: str, values: Any, tensor: Tensor) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.dtype == tensor.type and tensor.type != object:
        array = values
    else:
        array = _convert(name, values, tensor)
    if tensor.shape is not None and (
        array.ndim != len(tensor.shape) or any(w not in (-1, g) for w, g in zip(tensor.shape, array.shape))
    ):
        raise BadFeatures(f"{name} has shape {array.shape}; it should be {tensor.words}")
    return array


def _convert(name: str, values: Any, tensor: Tensor) -> np.ndarray:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise BadFeatures(f"{name} is {values!r}; it should be a list of {tensor.words}")
    fill = None if tensor.default is None or not tensor.default.size else tensor.default.reshape(-1)[0]
    lists = tensor.shape is not None and len(tensor.shape) == 2
    if lists:
        values = _filled(name, values, fill, tensor)
    flat = [v for row in values for v in row] if lists else list(values)
    array = np.empty(len(flat), tensor.type)
    for at, value in enumerate(flat):
        array[at] = _one(name, fill if value is None else value, tensor)
    return array.reshape(len(values), len(values[0]) if values else 0) if lists else array


def _filled(name: str, rows: Sequence[Any], fill: Any, tensor: Tensor) -> list[list[Any]]:
    lists = []
    for row in rows:
        row = row.tolist() if isinstance(row, np.ndarray) else row
        if row is not None and (isinstance(row, (str, bytes)) or not isinstance(row, Sequence)):
            raise BadFeatures(f"{name} has {row!r} for a row; it should be {tensor.words}: a list a row")
        lists.append(list(row or ()))
    fixed = tensor.shape[1] if tensor.shape else -1
    width = fixed if fixed >= 0 else max(map(len, lists), default=0)
    if fill is not None and fixed < 0:
        width = max(1, width)
    for row in lists:
        if len(row) != width and (fill is None or len(row) > width):
            raise BadFeatures(
                f"{name} has lists of {len(row)} and {width} values; it has no default to fill with"
            )
        row.extend([fill] * (width - len(row)))
    return lists


def _one(name: str, value: Any, tensor: Tensor) -> Any:
    fits, kind = False, tensor.type.kind
    if kind == "O":
        fits = isinstance(value, (str, bytes))
    elif kind == "b":
        fits = isinstance(value, (bool, np.bool_))
    elif not isinstance(value, (bool, np.bool_)) and isinstance(value, (int, float, np.number)):
        # int of a number: NumPy would compare an int64 with a float as floats, where 2^63 is not too much
        fits = _is_float(value) if kind == "f" else _is_whole(value) and _in_range(int(value), tensor.type)
    if not fits:
        raise BadFeatures(f"{name} has {value!r}; it should be {tensor.words}")
    if not isinstance(value, str):
        return value
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise BadFeatures(f"{name} has {value!r}, which is no text: half of a pair of surrogates") from None


def _is_float(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:  # of a whole number that is greater than all floats
        return False
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) or float(value).is_integer()


def _in_range(value: int, kind: np.dtype) -> bool:
    return np.iinfo(kind).min <= value <= np.iinfo(kind).max
