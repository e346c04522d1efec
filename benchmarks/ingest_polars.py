"""The peer of `ingest.py`: what one would write with Polars, for this one log. Everything is in memory at
once; examples are encoded by tfx-bsl and written by TensorFlow."""

import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import tensorflow as tf
from ingest import FLOATS, INTS, LABELS, WORDS
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

INT = ["impression_id", "request_id", "timestamp", "position", "hour", "click", "like", "purchase"]
INT += [f"int_{i}" for i in range(INTS)]
FLOAT = ["watch_seconds", *(f"float_{i}" for i in range(FLOATS))]
TEXT = ["user_id", "item_id", "device", "surface", *(f"word_{i}" for i in range(WORDS))]
SHARD_ROWS = 65_536


def main(world: Path, out: Path) -> dict:
    begin = time.perf_counter()
    files = sorted(world.glob("log-*.csv"))
    texts = pl.concat([pl.read_csv(path, infer_schema=False) for path in files]).with_row_index("row")
    read = len(texts)
    log = texts.with_columns(
        *(pl.col(name).cast(pl.Int64, strict=False) for name in INT),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in FLOAT),
    )
    bad = pl.any_horizontal(*(texts[n].is_not_null() & log[n].is_null() for n in (*INT, *FLOAT)))
    dead = texts.filter(texts.select(bad).to_series())
    dead.write_ndjson(out / "dead_letters.jsonl")
    log = log.filter(~texts.select(bad).to_series())
    unique = log.unique("impression_id", keep="first", maintain_order=True)
    users, items = pl.read_csv(world / "users.csv"), pl.read_csv(world / "items.csv")
    table = unique.join(users, on="user_id", how="left").join(items, on="item_id", how="left")
    clicked = pl.col("click") == 1
    always = pl.lit(True)
    for task, label, where in (
        ("click", "click", always),
        ("like", "like", always),
        ("watch", "watch_seconds", clicked),
        ("purchase", "purchase", clicked),
    ):
        known = where & pl.col(label).is_not_null()
        table = table.with_columns(
            pl.when(known).then(pl.col(label)).otherwise(0).cast(pl.Float32).alias(f"{task}/label"),
            known.cast(pl.Float32).alias(f"{task}/mask"),
            known.cast(pl.Float32).alias(f"{task}/weight"),
        )
    table = table.with_columns(pl.col("row").hash(1).alias("order")).sort("order").drop("order", *LABELS)
    table = table.with_columns(pl.col("row").cast(pl.Int64).alias("row/id")).drop("row")
    moments = [int(datetime(2024, 3, day, tzinfo=UTC).timestamp() * 1000) for day in (12, 13)]
    time_ = pl.col("timestamp")
    splits = {
        "train": time_ < moments[0],
        "validation": time_.is_between(moments[0], moments[1], closed="left"),
        "test": time_ >= moments[1],
    }
    written = {}
    for split, chosen in splits.items():
        rows = table.filter(chosen)
        written[split] = len(rows)
        write(rows, out / f"Split-{split}")
    return {
        "seconds": time.perf_counter() - begin,
        "rows": read,
        "written": written,
        "dropped": len(log) - len(unique),
        "dead": len(dead),
    }


def write(rows: pl.DataFrame, folder: Path) -> None:
    """Gzipped TFRecords of tf.Examples."""
    folder.mkdir()
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
    encoder = RecordBatchToExamplesEncoder()
    for number, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        table = rows.slice(start, SHARD_ROWS).to_arrow().combine_chunks()
        with tf.io.TFRecordWriter(str(folder / f"data-{number:05d}.gz"), options) as writer:
            for batch in table.to_batches(max_chunksize=8192):
                lists = [as_list(column) for column in batch.columns]
                for record in encoder.encode(pa.RecordBatch.from_arrays(lists, batch.schema.names)):
                    writer.write(record)


def as_list(column: pa.Array) -> pa.Array:
    """One value a row, none where it is missing, as tf.Examples have it."""
    offsets = np.zeros(len(column) + 1, np.int32)
    np.cumsum(column.is_valid().to_numpy(zero_copy_only=False), out=offsets[1:])
    values = column.drop_null()
    if pa.types.is_floating(values.type):
        values = values.cast(pa.float32())
    elif not pa.types.is_integer(values.type):
        values = values.cast(pa.binary())
    return pa.ListArray.from_arrays(pa.array(offsets), values)
