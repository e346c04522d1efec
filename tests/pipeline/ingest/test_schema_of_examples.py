"""The schema, held against data by TensorFlow Data Validation."""

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.ingest.schema import schema_proto

COLUMNS = {
    "user": {"type": "int", "required": True},
    "item": {"type": "string", "values": ["a", "b"]},
    "at": {"type": "time", "min": 1},
    "price": {"type": "float", "min": 0, "max": 1},
    "tab": {"type": "int", "values": [1, 2, 4]},
    "words": {"type": "list[string]", "separator": " ", "values": ["x", "y"]},
    "picture": "vector",
    "clicked": {"type": "int", "known": "after"},
}
FEATURES = {"user": {"kind": "categorical"}, "look": {"kind": "vector", "column": "picture", "dimension": 2}}


@pytest.fixture(scope="module")
def recipe(shop):
    return shop(
        sources={"log": {"columns": COLUMNS}},
        features=FEATURES,
        splits={"by": "hash", "of": "row", "validation": 0.01, "test": 0.01},
        evaluation={"references": {"click": {"price": "price"}}},
    )


@pytest.fixture(scope="module")
def anomalies(recipe, run_stages, tmp_path_factory):
    """Column → what TensorFlow Data Validation says of it, once the frame has been ingested."""

    def find(frame, schema=None):
        folder = tmp_path_factory.mktemp("schema")
        frame.to_csv(folder / "log.csv", index=False)
        run_stages(recipe, folder, folder / "out")
        statistics = tfdv.generate_statistics_from_tfrecord(
            str(folder / "out/Split-train/*"),
            pipeline_options=PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"]),
        )
        found = tfdv.validate_statistics(statistics, schema or schema_proto(recipe))
        return {name: info.description for name, info in found.anomaly_info.items()}

    return find


@pytest.fixture(scope="module")
def good():
    rows = 60
    return pd.DataFrame(
        {
            "user": range(rows),
            "item": ["a", "b", None] * 20,
            "at": range(1, rows + 1),
            "price": [0.0, 1.0, None] * 20,
            "tab": [1, 2, 4] * 20,
            "words": ["x", "x y", None] * 20,
            "picture": ["1 2", "3 4", None] * 20,
            "clicked": [0, 1, None] * 20,
        }
    )


def test_good_data_break_nothing(anomalies, good):
    assert anomalies(good) == {}


def test_every_kind_of_bad_data_is_named(anomalies, good):
    bad = good.assign(
        user=good["user"].where(good["user"] > 20),
        item="c",
        at=good["at"] - 30,
        price=good["price"] + 0.5,
        tab=good["tab"] + 1,
        words="x z",
        picture="1 2 3",
    )
    found = anomalies(bad.astype({"user": "Int64"}))
    assert set(found) == {"user", "item", "at", "price", "tab", "words", "picture"}
    assert "minimum fraction = 1.0" in found["user"] and "missing from the schema: c" in found["item"]
    assert "Unexpectedly small value" in found["at"] and "1.5>1" in found["price"]
    assert "Unexpectedly large value: 5" in found["tab"] and "z" in found["words"]


def test_another_type_and_a_column_that_vanished_are_named(anomalies, good, recipe):
    schema = schema_proto(recipe)
    next(f for f in schema.feature if f.name == "item").type = schema_pb2.INT
    schema.feature.add(name="gone", type=schema_pb2.INT).presence.min_fraction = 1.0
    found = anomalies(good, schema)
    assert set(found) == {"item", "gone"} and "Expected data of type: INT" in found["item"]


def test_features(recipe):
    names = [f.name for f in schema_proto(recipe).feature]
    assert names == [
        "user",
        "item",
        "at",
        "price",
        "tab",
        "words",
        "picture",
        "click/label",
        "click/mask",
        "click/weight",
        "click/reference/price",
        "row/id",
    ]
    assert {f.name: f.value_count.max for f in schema_proto(recipe).feature}["picture"] == 2
