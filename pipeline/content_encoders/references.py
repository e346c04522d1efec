"""The content of a catalog's rows, as it stands there, in shards on disk: paths, bytes or texts by key.

Content of any size passes through in batches; no more than one shard is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from pipeline.ingest.arrow_types import convert
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import file_format, resolve
from pipeline.ingest.read import read
from pipeline.ingest.read_parquet import parquet_file
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Catalog, Column, Source

# contents: of a text one, of pictures any number; null where the item has none
SCHEMA = pa.schema({"key": pa.string(), "contents": pa.list_(pa.large_binary())})
PATHS = {b"holds": b"paths"}
SHARD_ROWS, SHARD_BYTES = 1024, 32 << 20
_READ_ROWS = 256  # at once of a Parquet file: its rows may hold pictures


def write_references(recipe: Recipe, feature: str, input_dir: Path, folder: Path) -> list[Path]:
    """Writes a feature's content, as its catalog has it, as Arrow files `<feature>-<i>.arrow` of `SCHEMA`.

    Rows without a key, and rows of the catalog that cannot be read at all, are left out: ingestion counts
    them. Pictures given as texts are paths or URIs; a file whose metadata says so holds such.

    Raises:
      DataError: a file or column is not there or of a type that holds no content.
    """
    catalog = recipe.sources.catalogs[recipe.features[feature].catalog]
    files = resolve(catalog, input_dir, f"sources.catalogs.{recipe.features[feature].catalog}")
    shards: list[Path] = []
    waiting: list[pa.RecordBatch] = []

    def flush() -> None:
        if waiting:
            shards.append(folder / f"{feature}-{len(shards):06d}.arrow")
            with pa.OSFile(str(shards[-1]), "wb") as sink, pa.ipc.new_file(sink, waiting[0].schema) as writer:
                for batch in waiting:
                    writer.write_batch(batch)
            waiting.clear()

    for file in files:
        for found in content_batches(recipe, feature, input_dir, file):
            for batch in _sliced(found):
                full = sum(b.num_rows for b in waiting) + batch.num_rows > SHARD_ROWS
                large = sum(b.nbytes for b in waiting) >= SHARD_BYTES
                if full or large or (waiting and waiting[0].schema.metadata != batch.schema.metadata):
                    flush()
                waiting.append(batch)
    flush()
    return shards


def content_batches(recipe: Recipe, feature: str, input_dir: Path, file: str) -> Iterator[pa.RecordBatch]:
    """A feature's content in one file of its catalog, in batches of `SCHEMA`, with `PATHS` as metadata where
    contents are paths and URIs.

    Raises:
      DataError: see `write_references`.
    """
    spec = recipe.features[feature]
    catalog, what = recipe.sources.catalogs[spec.catalog], f"features.{feature}"
    for keys, columns in _columns(input_dir, file, catalog, list(spec.columns), what):
        yield _contents(keys, columns, spec.kind, f"{what}: {file}")


def _columns(
    input_dir: Path, file: str, catalog: Catalog, columns: list[str], what: str
) -> Iterator[tuple[pa.Array, list[pa.Array]]]:
    """Keys as texts, and content columns, batch by batch."""
    names = [catalog.columns[c].column or c if c in catalog.columns else c for c in columns]
    key = catalog.columns[catalog.key]
    if file_format(catalog, file) == "parquet":
        with parquet_file(input_dir / file) as opened:
            key_name = key.column or catalog.key
            for name in (key_name, *names):
                if name not in opened.schema_arrow.names:
                    raise DataError(
                        f"{what}: {file} has no column {name}; it has {_some(opened.schema_arrow.names)}"
                    )
            try:
                for chunk in opened.iter_batches(_READ_ROWS, columns=list({key_name, *names})):
                    keys = convert(chunk.column(key_name), key)[0]
                    yield keys.cast(pa.string()), [chunk.column(name) for name in names]
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{input_dir / file}: cannot be read as Parquet: {error}") from None
        return
    # text formats: what the catalog does not declare is a text
    wanted = {catalog.key: key}
    for column, name in zip(columns, names):
        wanted[column] = catalog.columns.get(column) or Column(type="string", column=name)
    source = Source.model_construct(**{**catalog.__dict__, "columns": wanted})
    if file_format(catalog, file) == "csv" and not catalog.header:
        undeclared = [c for c in columns if c not in catalog.columns]
        if undeclared:
            raise DataError(
                f"{what}: {file} has no header; {undeclared[0]} must stand in the catalog's columns"
            )
        source = catalog
    for batch in read(input_dir, file, source, list(wanted)):
        yield batch.columns[catalog.key].cast(pa.string()), [batch.columns[c] for c in columns]


def _contents(keys: pa.Array, columns: list[pa.Array], kind: str, what: str) -> pa.RecordBatch:
    """A batch of `SCHEMA`: of texts the columns joined by line breaks, of pictures the values of all."""
    columns = [c.dictionary_decode() if pt.is_dictionary(c.type) else c for c in columns]
    columns = [pa.nulls(len(c), pa.string()) if pt.is_null(c.type) else c for c in columns]
    kinds = {c.type.value_type if _is_list(c.type) else c.type for c in columns}
    texts = all(pt.is_string(k) or pt.is_large_string(k) for k in kinds)
    if not texts and not all(pt.is_binary(k) or pt.is_large_binary(k) for k in kinds):
        raise DataError(
            f"{what}: content is texts, bytes, or lists of these, of one kind in all columns; they are "
            f"{', '.join(str(c.type) for c in columns)}"
        )
    if kind == "text":
        contents = [_joined(row) for row in zip(*(c.cast(_bytes_like(c.type)).to_pylist() for c in columns))]
    else:
        rows = zip(*(c.cast(_bytes_like(c.type)).to_pylist() for c in columns))
        contents = [_flat(row) for row in rows]
    present = keys.is_valid()
    metadata = PATHS if kind == "vision" and texts else None
    batch = pa.record_batch(
        [keys, pa.array(contents, SCHEMA.field("contents").type)], SCHEMA.with_metadata(metadata)
    )
    return batch.filter(present)


def _bytes_like(kind: pa.DataType) -> pa.DataType:
    return pa.large_list(pa.large_binary()) if _is_list(kind) else pa.large_binary()


def _is_list(kind: pa.DataType) -> bool:
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


def _flat(row: tuple) -> list[bytes] | None:
    """An item's pictures; an empty path is none, and empty bytes are a damaged one."""
    found: list[bytes] = []
    for value in row:
        found += value if isinstance(value, list) else [value]
    return [v for v in found if v is not None] or None


def _joined(row: tuple) -> list[bytes] | None:
    parts: list[bytes] = []
    for value in row:
        parts.append(b" ".join(v for v in value if v) if isinstance(value, list) else value or b"")
    text = b"\n".join(p for p in parts if p.strip())
    return [text] if text else None


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Parts of at most `SHARD_ROWS` rows."""
    for start in range(0, batch.num_rows, SHARD_ROWS):
        yield batch.slice(start, SHARD_ROWS)


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def open_shard(path: Path) -> pa.Table:
    """A shard, mapped into memory."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def holds_paths(shard: pa.Table) -> bool:
    """Whether the contents of a shard are paths and URIs of pictures."""
    return (shard.schema.metadata or {}) == PATHS
