"""Reading by shards against TFXIO's own reading of the same files."""

import tempfile
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio import dataset_options
from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

from pipeline.shards.tfxio import POSITION, SHARD_BITS, ShardedExamples

SCHEMA = schema_pb2.Schema(
    feature=[
        schema_pb2.Feature(name="id", type=schema_pb2.INT),
        schema_pb2.Feature(name="tags", type=schema_pb2.BYTES),
        schema_pb2.Feature(name="x", type=schema_pb2.FLOAT),
    ]
)


def example(number: int) -> bytes:
    """`tags` of 0 to 2 values, `x` in every second row."""
    feature = {"id": tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))}
    if number % 3:
        tags = [f"t{number}-{i}".encode() for i in range(number % 3)]
        feature["tags"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=tags))
    if number % 2:
        feature["x"] = tf.train.Feature(float_list=tf.train.FloatList(value=[number / 4]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three shards: 10 rows, none, 5 rows, the last one not compressed."""
    path = tmp_path_factory.mktemp("shards")
    for name, numbers in (("a.gz", range(10)), ("b.gz", ()), ("c", range(10, 15))):
        options = tf.io.TFRecordOptions("GZIP" if name.endswith(".gz") else "")
        with tf.io.TFRecordWriter(str(path / name), options) as writer:
            for number in numbers:
                writer.write(example(number))
    return path


def read(tfxio: TFExampleRecord, out: Path, batch_size: int | None = None) -> list[pa.RecordBatch]:
    """Its batches, by way of files: Beam pickles what it runs."""
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    out.mkdir()

    def keep(batch: pa.RecordBatch) -> None:
        with (
            tempfile.NamedTemporaryFile(dir=out, delete=False) as file,
            pa.ipc.new_file(file, batch.schema) as to,
        ):
            to.write(batch)

    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | tfxio.BeamSource(batch_size) | beam.Map(keep)
    return [pa.ipc.open_file(path.read_bytes()).get_batch(0) for path in out.iterdir()]


def rows(batches: list[pa.RecordBatch]) -> Counter:
    """Rows as a multiset; a column that a batch has not is a missing value."""
    names = ("id", "tags", "x", "raw")
    return Counter(
        tuple(str(row.get(name)) for name in names) for batch in batches for row in batch.to_pylist()
    )


def test_same_rows_as_tfxio(folder, tmp_path):
    patterns = [f"{folder}/*.gz", f"{folder}/c"]
    stock = TFExampleRecord(
        patterns, schema=SCHEMA, raw_record_column_name="raw", telemetry_descriptors=["t"]
    )
    ours = ShardedExamples.like(stock)
    found = read(ours, tmp_path / "ours")
    assert rows(found) == rows(read(stock, tmp_path / "stock"))
    assert sum(rows(found).values()) == 15
    assert all(batch.schema.equals(stock.ArrowSchema()) for batch in found)
    assert ours.ArrowSchema().equals(stock.ArrowSchema())


def test_same_columns_as_tfxio_infers(folder, tmp_path):
    """Batches of one row: a column without a value in a batch is not in it."""
    stock = TFExampleRecord(f"{folder}/*", telemetry_descriptors=["t"])
    ours = ShardedExamples.like(stock, types=SCHEMA)
    found, expected = read(ours, tmp_path / "ours", 1), read(stock, tmp_path / "stock", 1)
    assert rows(found) == rows(expected)

    def columns(batches: list) -> Counter:
        return Counter(frozenset(b.schema.names) for b in batches)

    assert columns(found) == columns(expected)
    assert len(columns(found)) == 4


def test_columns_need_types(folder):
    with pytest.raises(ValueError, match="give a schema, or types"):
        ShardedExamples(f"{folder}/*")


def test_projection(folder, tmp_path):
    stock = TFExampleRecord(f"{folder}/*", schema=SCHEMA, telemetry_descriptors=["t"]).Project(["x"])
    ours = ShardedExamples(f"{folder}/*", SCHEMA, in_order=True).Project(["x"])
    assert ours.ArrowSchema().equals(stock.ArrowSchema())
    assert ours.TensorRepresentations() == stock.TensorRepresentations()
    assert rows(read(ours, tmp_path / "ours")) == rows(read(stock, tmp_path / "stock"))


def test_positions_are_no_tensors(folder, tmp_path):
    """Row r of the sorted shard s is at s << SHARD_BITS | r, however the batches are cut."""
    ours = ShardedExamples(f"{folder}/*", SCHEMA, positions=True).Project(["id"])
    found = read(ours, tmp_path / "ours", 4)
    assert all(batch.schema.equals(ours.ArrowSchema()) for batch in found)
    ids = {row[POSITION][0]: row["id"][0] for batch in found for row in batch.to_pylist()}
    third = 2 << SHARD_BITS
    assert ids == {i: i for i in range(10)} | {third + i: 10 + i for i in range(5)}
    tensors = ours.TensorAdapter().ToBatchTensors(found[0])
    assert set(tensors) == {"id"}


def test_in_order(folder, tmp_path):
    """One element of work for all shards, whose batches are in order."""
    ours = ShardedExamples(f"{folder}/*", SCHEMA, in_order=True, positions=True)
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    seen = tmp_path / "seen.txt"

    def note(batch: pa.RecordBatch) -> None:
        with seen.open("a") as file:
            file.write(f"{batch.column('id').flatten().to_pylist()}\n")

    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | ours.BeamSource(6) | beam.Map(note)
    assert seen.read_text().splitlines() == [
        str(list(range(6))),
        str(list(range(6, 10))),
        str(list(range(10, 15))),
    ]


def test_other_readers_are_tfxios(folder):
    ours = ShardedExamples(f"{folder}/*.gz", SCHEMA)
    options = dataset_options.RecordBatchesOptions(batch_size=4, num_epochs=1, shuffle=False)
    assert sum(batch.num_rows for batch in ours.RecordBatches(options)) == 10


def test_no_file(folder):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        ShardedExamples(f"{folder}/nothing-here*", SCHEMA).BeamSource()


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damaged_shard(folder, tmp_path, damage):
    data = bytearray((folder / "c").read_bytes())
    if damage == "cut":
        del data[-3:]
    else:
        data[40] ^= 1
    (tmp_path / "d").write_bytes(data)
    with pytest.raises(Exception, match="(?i)truncated|corrupted"):
        read(ShardedExamples(str(tmp_path / "d"), SCHEMA), tmp_path / "out")


def test_other_type(folder, tmp_path):
    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name="id", type=schema_pb2.FLOAT)])
    with pytest.raises(Exception, match="id"):
        read(ShardedExamples(f"{folder}/*", schema), tmp_path / "out")
