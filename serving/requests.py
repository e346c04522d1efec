"""Raw inputs as rows that a client could send, and back."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from serving.inputs import MISSING


def to_rows(inputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Columns `[rows]` or `[rows, length]` to one dict a row; a missing value is left out."""
    missing = {"i": MISSING_INT, "f": None, "O": b"", "S": b""}
    rows: list[dict[str, Any]] = [{} for _ in range(len(next(iter(inputs.values()))))]
    for name, values in inputs.items():
        absent = missing[values.dtype.kind]
        for row, value in zip(rows, values.tolist()):
            found = [
                _plain(v) for v in (value if isinstance(value, list) else [value]) if not _absent(v, absent)
            ]
            if isinstance(value, list) or found:
                row[name] = found if isinstance(value, list) else found[0]
    return rows


MISSING_INT = int(next(v for t, v in MISSING.items() if t.is_integer))


def _absent(value: Any, absent: Any) -> bool:
    return math.isnan(value) if absent is None else value == absent


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
