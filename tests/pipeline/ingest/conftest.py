"""A small shop's recipe, and the stages of ingestion run one after another in this process."""

from __future__ import annotations

import copy
import gzip
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from pipeline.ingest.catalogs import load_catalog, write_table
from pipeline.ingest.counts import Counts
from pipeline.ingest.keyed_stage import KeyedStage, Summary
from pipeline.ingest.plan import make_plan, pieces
from pipeline.ingest.read_stage import ReadStage, catalog_path
from pipeline.ingest.schema import schema_proto
from pipeline.ingest.span_rows import SpanRows
from pipeline.ingest.splits import SPLITS
from pipeline.recipe import Recipe, loads

SHOP = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {
            "files": "log.csv",
            "columns": {
                "user": "int",
                "item": "string",
                "at": {"type": "time", "unit": "ms", "min": 0},
                "price": "float",
                "clicked": {"type": "int", "known": "after"},
            },
        }
    },
    "roles": {"user": "user", "item": "item", "time": "at"},
    "features": {"user": {"kind": "categorical"}, "price": {"kind": "numeric"}},
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "dead": {"max_share": 1.0},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
}


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict) and key not in ("splits", "columns"):
            _merge(base[key], value)
        else:
            base[key] = value
    return base


@pytest.fixture(scope="session")
def shop():
    """Makes the shop's recipe, with some of its parts replaced."""

    def make(**parts: Any) -> Recipe:
        return loads(yaml.safe_dump(_merge(copy.deepcopy(SHOP), parts), sort_keys=False))

    return make


@pytest.fixture(scope="session")
def run_stages():
    """Runs all stages as Beam would, here; returns what they counted together."""

    def run(
        recipe: Recipe,
        input_dir: Path,
        output_dir: Path,
        shards: int | None = None,
        span: SpanRows | None = None,
    ) -> Counts:
        work_dir = output_dir / "work"
        work_dir.mkdir(parents=True)
        for split in SPLITS:
            (output_dir / f"Split-{split}").mkdir()
        plan = make_plan(recipe, input_dir, output_dir, work_dir, span)
        if shards is not None:
            object.__setattr__(plan, "buckets", 2 * shards)
            object.__setattr__(plan, "shards", lambda rows: shards)
        for name, catalog in plan.catalogs.items():
            if name not in plan.keyed:
                rows = load_catalog(catalog, name, input_dir, plan.needed)
                write_table(rows.table, catalog_path(work_dir, name))
        work, counts = pieces(plan), Counts()
        read = ReadStage(plan)
        results = [read(piece) for piece in work]
        summary = Summary.of(results)
        for result in results:
            counts.add(result.counts)
        for number in range(len(plan.stages)):
            stage = KeyedStage(plan, number, work)
            for partition in range(plan.buckets):
                counts.add(stage(partition, summary))
        return counts

    return run


def records(path: Path) -> list[bytes]:
    """The records of a gzipped TFRecord file, CRCs unread."""
    content, found, place = gzip.decompress(path.read_bytes()), [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        found.append(content[place + 12 : place + 12 + length])
        place += length + 16
    return found


@pytest.fixture(scope="session")
def payloads():
    """Split → the serialized examples that were written, in order."""

    def read(output_dir: Path) -> dict[str, list[bytes]]:
        return {
            split: [
                record
                for shard in sorted((output_dir / f"Split-{split}").glob("data_tfrecord-*.gz"))
                for record in records(shard)
            ]
            for split in SPLITS
        }

    return read


@pytest.fixture(scope="session")
def tables(payloads):
    """Split → the rows that were written, each feature a list column (null where it is absent); None without
    rows."""

    def read(recipe: Recipe, output_dir: Path) -> dict[str, pa.RecordBatch | None]:
        plain = schema_pb2.Schema(
            feature=[schema_pb2.Feature(name=f.name, type=f.type) for f in schema_proto(recipe).feature]
        )
        decoder = ExamplesToRecordBatchDecoder(plain.SerializeToString())
        return {
            split: decoder.DecodeBatch(rows) if rows else None for split, rows in payloads(output_dir).items()
        }

    return read


@pytest.fixture(scope="session")
def examples(tables):
    """Split → the rows that were written, each a dict."""

    def read(recipe: Recipe, output_dir: Path) -> dict[str, list[dict[str, Any]]]:
        return {
            split: batch.to_pylist() if batch else [] for split, batch in tables(recipe, output_dir).items()
        }

    return read
