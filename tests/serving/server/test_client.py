"""`serving.client` against a running server: four ways, one behaviour."""

import asyncio
import http.server
import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from serving.client import AsyncClient, BadFeatures, Client, ServerError
from serving.client.conversation import Conversation, Metadata, Predict
from serving.client.signature import signatures
from serving.server.limits import Limits

COLUMNS = {"price": [1.5, 2], "id": ["abc", b"\xff"], "tags": [["x", "y"], ["z"]], "age": [30, 31]}
WAYS = ["rest", "grpc", "rest async", "grpc async"]


class Way:
    """One of the four; the async clients in an event loop of their own."""

    def __init__(self, way, live, **which):
        address = live.url if way.startswith("rest") else f"127.0.0.1:{live.server.grpc_port}"
        self._loop = asyncio.new_event_loop() if way.endswith("async") else None

        async def make():
            return AsyncClient(address, "demo", **which)

        self.client = (
            self._loop.run_until_complete(make()) if self._loop else Client(address, "demo", **which)
        )

    def predict(self, *args, **kwargs):
        found = self.client.predict(*args, **kwargs)
        return self._loop.run_until_complete(found) if self._loop else found

    def close(self):
        found = self.client.close()
        if self._loop:
            self._loop.run_until_complete(found)
            self._loop.close()


@pytest.fixture(scope="module", params=WAYS)
def way(request, live):
    way = Way(request.param, live)
    yield way
    way.close()


def test_columns_rows_and_defaults(way):
    answer = way.predict(COLUMNS)
    assert answer["click"].tolist() == [3, 4] and answer["click"].dtype == np.float32
    assert answer["length"].tolist() == [3, 1]
    assert answer["like"].tolist() == [[30, 2], [31, 1]]
    rows = [{"price": 1.5, "id": "abc", "tags": ["x"]}, {"price": 2, "id": "d", "age": 5.0, "tags": None}]
    assert way.predict(rows)["like"].tolist() == [[7, 1], [5, 0]]
    assert way.predict({"price": np.float32([3]), "id": np.array(["a"])})["like"].tolist() == [[7, 0]]


def test_other_signatures(way):
    assert way.predict({"raw": [b"\xff", "a"]}, signature="echo")["raw_bytes"].tolist() == [
        b"\xff\xff",
        b"a\xff",
    ]


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({}, "there are no features"),
        (COLUMNS | {"pric": [1]}, "pric is not an input of serving_default; did you mean price"),
        ({"price": [1.0]}, "serving_default also needs id"),
        (COLUMNS | {"price": ["1", "2"]}, "price has '1'; it should be float32 [rows]"),
        (COLUMNS | {"price": 1.5}, "should be a list of float32 [rows]"),
        (COLUMNS | {"age": [1.5, 2]}, "age has 1.5; it should be int64 [rows]"),
        (COLUMNS | {"age": [2**63, 2]}, "age has 9223372036854775808"),
        (COLUMNS | {"age": [np.float64(2**63), 2]}, "it should be int64 [rows]"),
        (COLUMNS | {"age": [10**400, 2]}, "age has 1000"),
        (COLUMNS | {"price": [10**400, 2]}, "price has 1000"),
        (COLUMNS | {"id": ["\ud800", "a"]}, "id has '\\ud800', which is no text"),
        (COLUMNS | {"id": [7, 8]}, "id has 7; it should be texts [rows]"),
        (COLUMNS | {"id": "abc"}, "id is 'abc'"),
        (COLUMNS | {"id": [None, "a"]}, "id has None"),
        (COLUMNS | {"tags": ["x", "y"]}, "tags has 'x' for a row"),
        (COLUMNS | {"price": np.ones((2, 2), np.float32)}, "price has shape (2, 2)"),
        (COLUMNS | {"price": [1, 2, 3]}, "different numbers of rows"),
        ([3], "row 0 is 3"),
    ],
)
def test_features_are_checked_before_they_are_sent(way, features, said):
    with pytest.raises(BadFeatures) as caught:
        way.predict(features)
    assert said in str(caught.value)


def test_a_signature_that_is_not_there(way):
    with pytest.raises(BadFeatures, match="no signature nope; it has echo, serving_default"):
        way.predict(COLUMNS, signature="nope")


@pytest.mark.parametrize("kind", WAYS)
def test_versions_labels_and_what_the_server_refuses(live, kind):
    for which, factor in (({"version": 1}, 1), ({"label": "canary"}, 3)):
        way = Way(kind, live, **which)
        answer = way.predict(COLUMNS)
        assert answer["click"].tolist() == [1.5 * factor, 2 * factor]
        assert answer.version == factor or kind.startswith("rest")
        way.close()
    way = Way(kind, live, version=9)
    with pytest.raises(ServerError, match="NOT_FOUND: Servable not found for request: Specific.demo, 9."):
        way.predict(COLUMNS)
    way.close()


@pytest.mark.parametrize("kind", WAYS)
def test_a_busy_server_is_asked_again_until_the_deadline(serve, hold_calls, kind):
    live = serve(limits=Limits(concurrency=1, threads=1))
    way = Way(kind, live)
    way.predict(COLUMNS)
    gate = hold_calls(live)
    busy = threading.Thread(target=lambda: Client(live.url, "demo").predict(COLUMNS))
    busy.start()
    assert gate.inside.acquire(timeout=60)
    with pytest.raises(ServerError) as caught:
        way.predict(COLUMNS, timeout=0.3)
    assert caught.value.code in ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
    timer = threading.Timer(0.2, gate.open.set)
    timer.start()
    assert way.predict(COLUMNS)["click"].tolist() == [1.5, 2]
    busy.join()
    way.close()


@pytest.mark.parametrize("kind", WAYS)
def test_nobody_there(live, kind, monkeypatch):
    monkeypatch.setattr(live.server, "rest_port", 9)
    monkeypatch.setattr(live.server, "grpc_port", 9)
    way = Way(kind, live)
    with pytest.raises(ServerError) as caught:
        way.predict(COLUMNS, timeout=0.3)
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    way.close()


@pytest.mark.parametrize("kind", ["rest", "rest async"])
def test_an_answer_that_dribbles_is_over_at_the_deadline(live, kind, monkeypatch):
    ended = threading.Event()

    class Dribbling(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            while not ended.wait(0.05):  # each part in time, and never all
                self.wfile.write(b" ")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dribbling) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setattr(live.server, "rest_port", server.server_port)
        way = Way(kind, live)
        with pytest.raises(ServerError, match="DEADLINE_EXCEEDED"):
            way.predict(COLUMNS, timeout=0.3)
        ended.set()
        way.close()
        server.shutdown()


def test_a_connection_is_kept(live):
    for kind in ("rest", "rest async"):
        way = Way(kind, live)
        way.predict(COLUMNS)
        there = set(live.server._runner.server.connections)
        for _ in range(5):
            way.predict(COLUMNS)
        assert set(live.server._runner.server.connections) <= there
        way.close()


def info(dtype, *shape):
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(s)} for s in shape]}}


def test_a_new_version_with_other_inputs_is_learnt():
    old = {"serving_default": {"inputs": {"a": info("DT_FLOAT", -1)}, "outputs": {"y": info("DT_FLOAT", -1)}}}
    new = {"serving_default": {"inputs": {"b": info("DT_FLOAT", -1)}, "outputs": {"y": info("DT_FLOAT", -1)}}}
    conversation = Conversation()
    talk = conversation.predict({"a": [1.0]}, "serving_default", 5)
    assert isinstance(next(talk), Metadata) and isinstance(talk.send(old), Predict)
    talk = conversation.predict({"b": [1.0]}, "serving_default", 5)
    assert isinstance(next(talk), Metadata)  # what is known does not have it
    assert isinstance(talk.send(new), Predict)
    talk = conversation.predict({"b": [1.0]}, "serving_default", 5)
    assert isinstance(next(talk), Predict)
    assert isinstance(talk.throw(ServerError("INVALID_ARGUMENT", "no b")), Metadata)
    with pytest.raises(BadFeatures, match="b is not an input of serving_default: a"):
        talk.send(old)


def test_lists_without_a_default_are_not_filled_up():
    one = signatures({"s": {"inputs": {"tags": info("DT_STRING", -1, -1)}}})["s"]
    with pytest.raises(BadFeatures, match="lists of 1 and 2 values; it has no default to fill with"):
        one.check({"tags": [["x"], ["y", "z"]]})


@pytest.mark.parametrize("server", ["ftp://x:1", "http://", "localhost", ""])
def test_addresses(server):
    with pytest.raises(ValueError, match="HOST:PORT|no port"):
        Client(server, "demo")


def test_as_many_connections_are_kept_as_threads_use(serve, hold_calls):
    live = serve(limits=Limits(threads=16))
    client = Client(live.url, "demo")
    client.predict(COLUMNS)
    gate = hold_calls(live)
    threads = [threading.Thread(target=client.predict, args=(COLUMNS,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    assert all(gate.inside.acquire(timeout=60) for _ in threads)
    gate.open.set()
    for thread in threads:
        thread.join()
    client.predict(COLUMNS)
    assert len(live.server._runner.server.connections) == 16
    client.close()


def test_mtl_predict_server(live, tmp_path):
    out = str(tmp_path / "out.jsonl")
    (tmp_path / "rows.jsonl").write_text(
        '{"id": "007", "price": 1.5, "age": null}\n{"id": "1", "tags": ["a"], "price": 2}\n'
    )
    for server in (live.url, f"127.0.0.1:{live.server.grpc_port}"):
        arguments = ["predict", "--server", server, "--model", "demo", "--output", out]
        found = CliRunner().invoke(mtl, [*arguments, "--input", str(tmp_path / "rows.jsonl")])
        assert found.exit_code == 0, found.output
        lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [(x["click"], x["length"], x["like"]) for x in lines] == [(3, 3, [7, 0]), (4, 1, [7, 1])]
    found = CliRunner().invoke(mtl, [*arguments[:3], "--model", "x", "--input", str(tmp_path / "rows.jsonl")])
    assert found.exit_code == 1 and "NOT_FOUND" in found.output
    (tmp_path / "bad.jsonl").write_text('{"id": 7, "price": 1}\n')
    found = CliRunner().invoke(mtl, [*arguments, "--input", str(tmp_path / "bad.jsonl")])
    assert found.exit_code == 2 and "id has 7; it should be texts [rows]" in found.output
