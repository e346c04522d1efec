"""Vectors by key, as the model holds them: read from Parquet, written once as a matrix.

`<feature>.keys.txt` has one key a line, `<feature>.npy` one row more, float32 `[1 + keys, dimension]`: row 0
is for keys that are not there, and line n's vector is row n. Keys without a vector are left out of both.
`vectors.json` says of each feature what was read (see `Held`), `<feature>.absent.parquet` which keys have
none, and why.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.ingest.errors import DataError

FACTS = "vectors.json"
_ROWS = 8192
_ABSENT = pa.schema({"key": pa.string(), "reason": pa.string()})
NOT_FINITE = "its vector has a number that is not finite"
NO_VECTOR = "its vector is null"
NO_KEY = "it has no key, or one that is empty or has a line break"


@dataclass(frozen=True)
class Table:
    """Where a feature's vectors are.

    Attributes:
      files: Parquet files.
      digest: of their content, and of the encoder's where one made them.
      key, column: the key's and the vector's columns.
      dimension: of the vectors, where it is known; that of the first vector where None.
      reason: the column that says why a key has no vector; None where there is none.
      encoder, encoder_version: digest of the encoder, and what it says of itself; "" where none is known.
      reasons: why keys have no vector → how many, as far as its maker knows.
    """

    files: list[str]
    digest: str
    key: str = "key"
    column: str = "vector"
    reason: str | None = None
    dimension: int | None = None
    encoder: str = ""
    reasons: dict[str, int] = field(default_factory=dict)
    encoder_version: str = ""


@dataclass(frozen=True)
class Held:
    """What a feature's table came to: rows read = keys + absent; absent = the sum of `reasons`."""

    dimension: int
    keys: int
    absent: int
    encoder: str
    reasons: dict[str, int]
    encoder_version: str = ""

    @property
    def rows(self) -> int:
        """Of the matrix."""
        return 1 + self.keys


def keys_file(folder: str | Path, feature: str) -> Path:
    return Path(folder, f"{feature}.keys.txt")


def matrix_file(folder: str | Path, feature: str) -> Path:
    return Path(folder, f"{feature}.npy")


def absent_file(folder: str | Path, feature: str) -> Path:
    return Path(folder, f"{feature}.absent.parquet")


def held(folder: str | Path) -> dict[str, Held]:
    """What `write_vectors` wrote there, by feature."""
    path = Path(folder, FACTS)
    return {n: Held(**f) for n, f in json.loads(path.read_text()).items()} if path.is_file() else {}


def read_matrices(folder: str | Path, names: list[str]) -> dict[str, np.ndarray]:
    """The matrices, mapped into memory."""
    return {name: np.load(matrix_file(folder, name), mmap_mode="r") for name in names}


def link_vectors(source: str | Path, folder: str | Path) -> None:
    """The same files below another folder, without a second copy where the disk allows it."""
    for path in Path(source).iterdir():
        if path.suffix == ".npy" or path.name == FACTS or path.name.endswith(".keys.txt"):
            to = Path(folder, path.name)
            try:
                os.link(path, to)
            except OSError:
                shutil.copy(path, to)


def write_vectors(tables: Mapping[str, Table], folder: str | Path) -> dict[str, Held]:
    """Writes every feature's keys and matrix, a batch in memory at a time.

    Raises:
      DataError: a file has not the columns, a vector has another length than the others, a key is there
        twice, or no key has a vector.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    found = {name: _write(name, table, Path(folder)) for name, table in tables.items()}
    Path(folder, FACTS).write_text(json.dumps({n: asdict(h) for n, h in found.items()}, indent=1))
    return found


def _write(name: str, table: Table, folder: Path) -> Held:
    what = f"features.{name}"
    dimension = table.dimension
    total, rows, keys = sum(pq.read_metadata(f).num_rows for f in table.files), 0, set()
    reasons: Counter[str] = Counter()
    draft = folder / f"{name}.partial"
    with (
        keys_file(folder, name).open("wb") as lines,
        draft.open("wb") as matrix,
        pq.ParquetWriter(absent_file(folder, name), _ABSENT) as absent,
    ):
        for file, batch in _batches(table, what):
            batch = _checked(batch, file, table, what)
            rows += len(batch)
            known = batch["reason"].is_null()
            vector = batch["vector"].filter(known)
            values = np.empty((0, dimension or 0), np.float32)
            if len(vector):
                lengths = pc.unique(pc.list_value_length(vector)).to_pylist()
                dimension = dimension or lengths[0]
                if lengths != [dimension]:
                    raise DataError(
                        f"{what}: {file} has a vector of {next(n for n in lengths if n != dimension)} "
                        f"numbers; others have {dimension}"
                    )
                values = vector.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
                values = values.reshape(-1, dimension)
            good = np.isfinite(values).all(axis=1)
            names = [k for k, well in zip(batch["key"].filter(known).to_pylist(), good, strict=True) if well]
            repeated = next((k for k in names if k in keys or keys.add(k)), None)
            if repeated is not None:
                raise DataError(f"{what}: the key {repeated!r} is there more than once, again in {file}")
            if len(names) and not matrix.tell():
                matrix.write(np.zeros(dimension, np.float32).tobytes())
            lines.write("".join(k + "\n" for k in names).encode())
            matrix.write(np.ascontiguousarray(values[good]).tobytes())
            why = np.array(batch["reason"].to_pylist(), object)
            why[np.flatnonzero(known.to_numpy(zero_copy_only=False))[~good]] = NOT_FINITE
            lacking = pa.record_batch([batch["key"], pa.array(why, pa.string())], _ABSENT)
            lacking = lacking.filter(lacking["reason"].is_valid())
            reasons.update(lacking["reason"].to_pylist())
            if len(lacking):
                absent.write_batch(lacking)
    if not keys:
        raise DataError(f"{what}: none of {total} keys has a vector")
    _as_npy(draft, matrix_file(folder, name), (1 + len(keys), dimension))
    told = dict(reasons.most_common())
    return Held(dimension, len(keys), rows - len(keys), table.encoder, told, table.encoder_version)


def _batches(table: Table, what: str) -> Iterator[tuple[str, pa.RecordBatch]]:
    for file in table.files:
        opened = pq.ParquetFile(file)
        lacking = [c for c in (table.key, table.column) if c not in opened.schema_arrow.names]
        if lacking:
            raise DataError(
                f"{what}: {file} has no column '{lacking[0]}'; it has {', '.join(opened.schema_arrow.names)}"
            )
        columns = [table.key, table.column, *([table.reason] if table.reason else [])]
        for batch in opened.iter_batches(_ROWS, columns=columns):
            yield file, batch


def _checked(batch: pa.RecordBatch, file: str, table: Table, what: str) -> pa.RecordBatch:
    """Keys, as texts, vectors, and reasons: null where a row has both key and vector. A key with a line break
    cannot stand in a file of lines."""
    key, vector = batch[table.key], batch[table.column]
    is_list = pa.types.is_list(vector.type) or pa.types.is_fixed_size_list(vector.type)
    if not is_list and not pa.types.is_large_list(vector.type):
        raise DataError(f"{what}: {file}: {table.column} is {vector.type}; a vector is a list of numbers")
    is_text = pa.types.is_string(key.type) or pa.types.is_large_string(key.type)
    if not is_text and not pa.types.is_integer(key.type):
        raise DataError(f"{what}: {file}: {table.key} is {key.type}; a key is a text or a whole number")
    key = key.cast(pa.string())
    unnamed = pc.match_substring_regex(key, r"[\r\n]|^$").fill_null(True)
    said = batch[table.reason] if table.reason else pa.nulls(len(batch), pa.string())
    why = pc.if_else(vector.is_null(), pc.fill_null(said, NO_VECTOR), None)
    why = pc.if_else(unnamed, NO_KEY, why).cast(pa.string())
    return pa.record_batch([key, vector, why], ["key", "vector", "reason"])


def _as_npy(raw: Path, path: Path, shape: tuple[int, int]) -> None:
    to = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    to[:] = np.memmap(raw, np.float32, mode="r", shape=shape)
    to.flush()
    raw.unlink()
