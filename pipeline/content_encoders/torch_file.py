"""Tensors of a file that PyTorch's `save` wrote before its version 1.6, read without PyTorch.

The form: three pickles (magic number, protocol, system), a pickle of the tensors' shapes that refers to
storages by key, a pickle with the keys in order, and each storage as int64 count and raw values.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Reader(pickle.Unpickler):
    """Builds nothing but dictionaries and descriptions of tensors: no code of the file's choice runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of tensors")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        return pid[1], pid[2]  # type and key of a storage


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Name → array, in the order of the file."""
    with path.open("rb") as file:
        for _ in range(3):
            _Reader(file).load()
        described = _Reader(file).load()
        types = {key: _TYPES[kind] for (kind, key), *_ in described.values()}
        storages = {key: _storage(file, types[key]) for key in _Reader(file).load()}
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[key][offset:], shape, [s * types[key].itemsize for s in strides]
        ).copy()
        for name, ((_, key), offset, shape, strides) in described.items()
    }


def _storage(file: BinaryIO, kind: np.dtype) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * kind.itemsize), kind)
