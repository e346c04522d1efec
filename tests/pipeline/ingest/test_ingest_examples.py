"""Serialized examples and TFRecords, read back by TensorFlow and tfx-bsl."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from pipeline.ingest.examples import encode_examples
from pipeline.ingest.tfrecords import TFRecordWriter

TYPES = {
    "i": pa.int64(),
    "f": pa.float32(),
    "d": pa.float64(),
    "s": pa.string(),
    "li": pa.list_(pa.int64()),
    "ls": pa.list_(pa.string()),
    "v": pa.list_(pa.float32()),
}
KINDS = {"i": schema_pb2.INT, "li": schema_pb2.INT, "s": schema_pb2.BYTES, "ls": schema_pb2.BYTES}

ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(width=32, allow_nan=False)
texts = st.text(max_size=200)
rows = st.fixed_dictionaries(
    {
        "i": st.one_of(st.none(), ints),
        "f": floats,
        "d": st.one_of(st.none(), floats),
        "s": st.one_of(st.none(), texts),
        "li": st.one_of(st.none(), st.lists(ints)),
        "ls": st.one_of(st.none(), st.lists(texts, max_size=4)),
        "v": st.lists(floats, max_size=40),
    }
)


def columns_of(found):
    return {n: pa.array([row[n] for row in found], kind) for n, kind in TYPES.items()}


@settings(deadline=None)
@given(st.lists(rows, min_size=1, max_size=8), st.integers(0, 3))
def test_round_trip(found, start):
    columns = {n: c.slice(start) for n, c in columns_of(found).items()}
    encoded = encode_examples(columns)
    encoded.validate(full=True)
    if not len(encoded):
        return
    schema = schema_pb2.Schema(
        feature=[schema_pb2.Feature(name=n, type=KINDS.get(n, schema_pb2.FLOAT)) for n in TYPES]
    )
    back = (
        ExamplesToRecordBatchDecoder(schema.SerializeToString()).DecodeBatch(encoded.to_pylist()).to_pylist()
    )

    def values(value):
        found = value if isinstance(value, list) else [] if value is None else [value]
        return [v.encode() if isinstance(v, str) else v for v in found]

    assert [{n: row[n] or [] for n in TYPES} for row in back] == [
        {n: values(row[n]) for n in TYPES} for row in found[start:]
    ]


def test_a_missing_value_has_no_feature_and_equal_rows_equal_bytes():
    one = columns_of([{"i": 1, "f": 0.5, "d": None, "s": None, "li": [], "ls": None, "v": [1.0]}])
    example = tf.train.Example.FromString(encode_examples(one)[0].as_py())
    assert sorted(example.features.feature) == ["f", "i", "v"]
    # in company the row is the same bytes, whatever widths its neighbours need
    more = columns_of(
        [
            {"i": 2**62, "f": 1.5, "d": 3.0, "s": "x" * 300, "li": [2**62], "ls": ["a"], "v": [0.0] * 99},
            {"i": 1, "f": 0.5, "d": None, "s": None, "li": [], "ls": None, "v": [1.0]},
        ]
    )
    assert encode_examples(more)[1] == encode_examples(one)[0]


def test_long_names_and_floats_that_are_not_finite():
    columns = {"n" * 300: pa.array([1, 2]), "f": pa.array([np.nan, np.inf], pa.float32())}
    got = [tf.train.Example.FromString(e) for e in encode_examples(columns).to_pylist()]
    assert [e.features.feature["n" * 300].int64_list.value[0] for e in got] == [1, 2]
    np.testing.assert_equal([e.features.feature["f"].float_list.value[0] for e in got], [np.nan, np.inf])


def test_tensorflow_reads_the_records_and_checks_their_crcs(tmp_path):
    payloads = [b"", b"x", b"y" * 100_000, *(bytes([i]) * i for i in range(200))]
    path = tmp_path / "data.gz"
    with TFRecordWriter(path) as writer:
        writer.write(pa.array(payloads[:5], pa.binary()))
        writer.write(pa.array([b"not this", *payloads[5:]], pa.binary()).slice(1))
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(path), "GZIP")] == payloads
    first = path.read_bytes()
    with TFRecordWriter(path) as writer:
        writer.write(pa.array(payloads, pa.binary()))
    assert gzip.decompress(path.read_bytes()) == gzip.decompress(first)
    with TFRecordWriter(tmp_path / "empty.gz"):
        pass
    assert list(tf.data.TFRecordDataset(str(tmp_path / "empty.gz"), "GZIP")) == []


def test_a_file_that_failed_is_never_seen(tmp_path):
    with pytest.raises(RuntimeError), TFRecordWriter(tmp_path / "data.gz") as writer:
        writer.write(pa.array([b"x"], pa.binary()))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
