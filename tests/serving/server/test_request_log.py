"""What was answered, in files that ingestion reads."""

import urllib.request
from collections import Counter

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.ingest.run import ingest
from pipeline.recipe import loads
from pipeline.scoring.rows import rows_to_score
from serving.client import Client
from serving.server import request_log
from serving.server.request_log import RequestLog

COLUMNS = {"price": [1.5, np.nan], "id": ["abc", "é"], "age": [30, -(2**63)]}
COLUMNS["tags"] = [["x", "y"], ["z", ""]]
RECIPE = """
version: 1
name: served
sources:
  log:
    files: "*.parquet"
    columns:
      served_request: {type: string, required: true}
      served_at: {type: time, unit: ms, required: true}
      served_version: int
      id: string
      price: float
      age: int
      tags: "list[string]"
      predicted_click: {type: float, known: after}
  catalogs:
    things: {files: things.csv, key: id, serving: in_model, columns: {id: string, brand: string}}
roles: {request: served_request, time: served_at}
features:
  id: {kind: categorical}
  brand: {kind: categorical}
  age: {kind: numeric}
  tags: {kind: categorical, max_length: 3}
tasks:
  click: {kind: regression, label: predicted_click}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


def brands(folder):
    """How many examples have which brand."""
    files = [str(path) for path in folder.rglob("*.gz")]
    found = Counter()
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        values = tf.train.Example.FromString(record).features.feature["brand"].bytes_list.value
        found[values[0] if values else None] += 1
    return found


def test_two_logs_of_one_second_do_not_write_over_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log.time, "strftime", lambda *given: "20240301T000000Z")
    for number in range(2):
        log = RequestLog(tmp_path, 1.0)
        log.offer("serving_default", f"r{number}", 1, {"id": np.array([b"a"])}, {"click": np.ones(1)}, 1)
        log.close()
    found = [pq.read_table(path).to_pylist() for path in sorted(tmp_path.glob("requests-*.parquet"))]
    assert [row["served_request"] for rows in found for row in rows] == ["r0", "r1"]


def test_what_was_answered_is_read_by_ingestion(serve, tmp_path):
    live = serve(log=RequestLog(tmp_path / "log", 1.0))
    for address in (live.url, f"127.0.0.1:{live.server.grpc_port}"):
        with Client(address, "demo") as client:
            for _ in range(30):
                client.predict(COLUMNS)
            client.predict({"raw": ["a"]}, signature="echo")  # not of the recipe's columns
    body = b'{"inputs": {"price": [2.0], "id": ["mine"], "age": [1], "tags": [["x"]]}}'
    mine = urllib.request.Request(f"{live.url}/v1/models/demo:predict", body, {"X-Request-ID": "r-7"})
    urllib.request.urlopen(mine, timeout=60).close()
    live.server._predictor.log.close()
    [path] = (tmp_path / "log").glob("requests-*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 121 and len({row["served_request"] for row in rows}) == 61
    first, second = rows[:2]
    assert (first["id"], first["price"], first["age"], first["tags"]) == ("abc", 1.5, 30, ["x", "y"])
    assert (second["id"], second["price"], second["age"], second["tags"]) == ("é", None, None, ["z"])
    assert (first["predicted_click"], first["served_row"], second["served_row"]) == (1.5, 0, 1)
    assert rows[-1]["served_request"] == "r-7" and rows[-1]["served_version"] == 1
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    # the model holds a catalog: the log has its key alone, as requests have, and ingestion joins it
    (tmp_path / "log" / "things.csv").write_text("id,brand\nabc,acme\nmine,own\n")
    recipe = loads(RECIPE)
    assert "brand" not in rows[0] and set(recipe.request_columns) <= rows[0].keys()
    counts = ingest(recipe, tmp_path / "log", tmp_path / "examples", beam.Pipeline(options=options))
    assert (counts.read, counts.rows_written, counts.rows_dead) == (121, 121, 0)
    assert sum(counts.known["click"].values()) == 61
    assert brands(tmp_path / "examples") == {b"acme": 60, b"own": 1, None: 60}
    reading = rows_to_score(recipe, recipe.sources.log, tmp_path / "log", recipe.request_columns)
    assert not reading.missing  # what `mtl predict --recipe` asks the model again with, to see skew


@pytest.fixture
def one():
    inputs = {"price": np.ones(2, np.float32)}
    return ("serving_default", "", 1, inputs, {"click": np.ones(2, np.float32)}, 100)


def test_a_share_of_requests_is_taken(tmp_path, one):
    log = RequestLog(tmp_path, 0.25)
    for _ in range(2000):
        log.offer(*one)
    log.close()
    rows = sum(pq.read_table(path).num_rows for path in tmp_path.glob("*.parquet"))
    assert 2 * 350 < rows < 2 * 650 and rows % 2 == 0


def test_a_full_queue_or_disk_leaves_requests_out_and_fails_none(tmp_path, one, monkeypatch):
    monkeypatch.setattr(request_log, "HELD_BYTES", 250)
    monkeypatch.setattr(request_log, "FILE_SECONDS", 30)
    log = RequestLog(tmp_path / "full", 1.0)
    for _ in range(5):
        log.offer(*one)
    log.close()
    assert log.left_out == 3
    log = RequestLog(tmp_path / "gone", 1.0)
    (tmp_path / "gone").rmdir()
    log.offer(*one)
    log.close()
    assert log.left_out == 1


def test_what_a_short_message_unfolds_to_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "HELD_BYTES", 2_500)
    monkeypatch.setattr(request_log, "FILE_SECONDS", 30)
    log = RequestLog(tmp_path, 1.0)
    for _ in range(4):
        tags = np.full((1, 120), b"x", object)  # one value, and a shape to repeat it to
        log.offer("serving_default", "", 1, {"tags": tags}, {"click": np.ones(1, np.float32)}, 20)
    log.close()
    assert log.left_out == 2


def test_the_folder_is_bounded_and_every_file_is_whole(tmp_path, one, monkeypatch):
    monkeypatch.setattr(request_log, "FILE_ROWS", 2)
    monkeypatch.setattr(request_log, "FOLDER_BYTES", 4000)
    log = RequestLog(tmp_path, 1.0)
    for _ in range(20):
        log.offer(*one)
    log.close()
    files = list(tmp_path.iterdir())
    assert 1 <= len(files) < 20 and sum(path.stat().st_size for path in files) <= 4000
    assert all(pq.read_table(path).num_rows == 2 for path in files)


def test_someones_id_is_not_written_where_it_is_private(tmp_path):
    log = RequestLog(tmp_path, 1.0)
    inputs = {"user": np.array([b"anna", b"a" * 32], object), "brand": np.array([b"anna", b"b"], object)}
    log.offer("serving_default", "", 1, inputs, {"click": np.ones(2)}, 1, {"user"})
    log.close()
    [path] = tmp_path.glob("requests-*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [(row["user"], row["brand"]) for row in rows] == [(None, "anna"), ("a" * 32, "b")]
