"""Random rows as a client may send them, and the ways that a pushed model can be asked about them."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline.ingest.arrow_types import ARROW_TYPES
from pipeline.ingest.examples import encode_examples
from pipeline.predict import predict
from pipeline.recipe import Recipe
from serving import inputs as raw

WORDS = ["never seen", "caf\u00e9 \U0001f600", "u00001", "u00007", "i00002", "i00005", "garden", "loyal"]


def random_rows(recipe: Recipe, rows: int, seed: int) -> pa.Table:
    """The columns of a request, each value missing or unknown now and then."""
    draw = np.random.default_rng(seed)
    dims = {f.column or n: f.dimension for n, f in recipe.features.items() if f.kind == "vector"}

    def values(kind: str, count: int) -> list:
        match kind:
            case "string" | "list[string]":
                words = WORDS + [f"{letter}{i:05d}" for letter in "ui" for i in range(80)]
                return [words[i] for i in draw.integers(0, len(words), count)]
            case "float" | "vector":
                return draw.normal(20, 30, count).astype(np.float32).tolist()
        numbers = draw.integers(-5, 30, count)
        return np.where(draw.random(count) < 0.02, 2**62 + numbers, numbers).tolist()

    columns = {}
    for name, column in recipe.request_columns.items():
        kind = ARROW_TYPES[column.type]
        there = draw.random(rows) >= 0.3
        if raw.is_list(column):
            lengths = [dims.get(name) or int(n) for n in draw.integers(1, 6, rows)]
            found = [values(column.type, n) if t else None for n, t in zip(lengths, there, strict=True)]
            columns[name] = pa.array(found, kind)
        else:
            columns[name] = pa.array(values(column.type, rows), kind, mask=~there)
    return pa.table(columns)


def dense(table: pa.Table, recipe: Recipe) -> dict[str, np.ndarray]:
    """Rows as `serving_default` takes them."""
    found = {}
    for name, column in recipe.request_columns.items():
        kind = raw.dtype(column)
        numpy_kind, missing = (object if kind == tf.string else kind.as_numpy_dtype), raw.MISSING[kind]
        values = table[name].to_pylist()
        if not raw.is_list(column):
            found[name] = np.array([missing if v is None else _plain(v) for v in values], numpy_kind)
            continue
        width = max(1, *(len(v or []) for v in values))
        found[name] = np.array(
            [[_plain(x) for x in v or []] + [missing] * (width - len(v or [])) for v in values], numpy_kind
        ).reshape(len(values), width)
    return found


def _plain(value):
    return value.encode() if isinstance(value, str) else value


def examples(table: pa.Table) -> tf.Tensor:
    """The same as serialized tf.Examples."""
    columns = {n: table[n].combine_chunks() for n in table.column_names}
    return tf.constant(encode_examples(columns).to_pylist())


def batch(table: pa.Table, recipe_file: Path, model: Path, folder: Path) -> dict[str, np.ndarray]:
    """What `mtl predict --recipe` answers of the rows, in their order."""
    log = folder / "rows.parquet"
    pq.write_table(table.append_column("impression_id", pa.array(range(len(table)))), log)
    assert predict(recipe_file, model, log, folder / "scores") == len(table)
    found = pq.read_table(folder / "scores" / "scores").sort_by("impression_id")
    outputs = [n for n in found.column_names if n not in ("impression_id", *table.column_names)]
    return {n: np.array(found[n].to_pylist()) for n in outputs}


def assert_alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray], what: str) -> None:
    assert set(one) == set(other), what
    for name, values in one.items():
        assert np.isfinite(values).all(), (what, name)
        np.testing.assert_allclose(values, other[name], atol=1e-5, rtol=1e-5, err_msg=f"{what}: {name}")


@contextmanager
def served(folder: Path, name: str, labels: dict[str, int]) -> Iterator:
    """A server of every version in a folder, in this process, its loop in a thread of its own."""
    from serving.server.limits import Limits
    from serving.server.manager import Manager
    from serving.server.server import Server

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(120)

    try:
        server = Server(Manager(folder, name, labels, True), Limits(), "127.0.0.1", 0, 0)
        wait(server.start())
        try:
            yield server
        finally:
            wait(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
