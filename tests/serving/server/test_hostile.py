"""`mtl serve` in a process of its own, treated badly by clients and other processes: it answers the next one.

What is refused in which words is in test_rest.py and test_grpc.py.
"""

import gzip
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving import releases, versions

PREDICT = "/v1/models/feed:predict"
STATUS = "model_version_status"
METHOD = "/tensorflow.serving.PredictionService/Predict"
COLUMNS = {"price": [1.0, 2.0], "id": ["a", "b"], "age": [1, 1], "tags": [["x"], [""]]}
SECONDS = 6.0  # within which a busy machine still answers what is in order


class Process:
    """The server, and plain ways to ask it."""

    def __init__(self, folder: Path):
        self.folder = folder
        command = [sys.executable, "-m", "pipeline", "serve", str(folder), "--rest-port", "0"]
        command += ["--grpc-port", "0", "--timeout", str(SECONDS), "--max-body", "1", "--max-rows", "1000"]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        lines = [self.process.stdout.readline() for _ in range(3)]
        self.rest = int(re.search(r":(\d+)/v1", lines[1])[1])
        self.channel = grpc.insecure_channel(lines[2].split()[-1])

    def http(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def over_rest(self) -> list[float]:
        status, found = self.http(PREDICT, json.dumps({"inputs": COLUMNS}).encode())
        assert status == 200, found
        return found["outputs"]["click"]

    def over_grpc(self) -> list[float]:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        return list(stub.Predict(message(), timeout=60).outputs["click"].float_val)

    def raw(self, content: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.rest), timeout=60)
        connection.sendall(content)
        return connection

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10

    def end(self, number: int) -> int:
        self.channel.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


def message(**changed) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "feed"
    dtypes = {"price": tf.float32, "age": tf.int64}
    for name, value in (COLUMNS | changed).items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtypes.get(name)))
    return request


@pytest.fixture(scope="module")
def server(saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "feed" / "serving"
    releases.push(saved / "1", folder, {"run": "first"}, "")
    running = Process(folder)
    yield running
    assert running.end(signal.SIGTERM) == 0  # it has never crashed


def huge() -> bytes:
    """A message of a few bytes whose tensor would have 2^60 values."""
    request = message()
    request.inputs["price"].tensor_shape.dim[0].size = 1 << 60
    return request.SerializeToString()


def many_keys() -> bytes:
    return json.dumps({"inputs": COLUMNS | {f"x{i}": [] for i in range(20_000)}}).encode()


OVER_REST = [
    (PREDICT, b'{"inputs": {"price": [1.0', {}, 400),
    (PREDICT, b'{"instances": ' + b"[" * 100_000, {}, 400),
    (PREDICT, json.dumps({"inputs": COLUMNS | {"price": ["1", "2"]}}).encode(), {}, 400),
    (PREDICT, json.dumps({"inputs": COLUMNS | {"price": [[1.0], [2.0]]}}).encode(), {}, 400),
    (PREDICT, many_keys(), {}, 400),
    (PREDICT, b" " * (2 << 20), {}, 413),
    (PREDICT, gzip.compress(b" " * (64 << 20)), {"Content-Encoding": "gzip"}, 413),
    (PREDICT, b"not compressed", {"Content-Encoding": "gzip"}, 400),
    ("/v1/models/..%2F..%2Fetc%2Fpasswd:predict", b"{}", {}, 404),
    ("/v1/models/%2e%2e/%2e%2e/etc/passwd", None, {}, 400),
    ("/v1/models/feed/versions/..%2f..%2f1:predict", b"{}", {}, 400),
    ("/v1/models/feed/labels/..%2f1:predict", b"{}", {}, 400),
    ("/v1/models/" + "a" * 8000 + ":predict", b"{}", {}, 404),
]
OVER_GRPC = [
    (b"\xff" * 1000, "INTERNAL"),
    (huge(), "INVALID_ARGUMENT"),
    (message(tags=["x", "y"]).SerializeToString(), "INVALID_ARGUMENT"),
    (message(price=[1.0] * 1001).SerializeToString(), "INVALID_ARGUMENT"),
    (b"\0" * (2 << 20), "RESOURCE_EXHAUSTED"),
]


def be_hostile(server):
    """Everything that is refused, once over."""
    for path, body, headers, wanted in OVER_REST:
        status, found = server.http(path, body, **headers)
        assert status == wanted, (path[:80], (body or b"")[:80], status, found)
    call = server.channel.unary_unary(METHOD)
    for body, wanted in OVER_GRPC:
        with pytest.raises(grpc.RpcError) as caught:
            call(body, timeout=60)
        assert caught.value.code().name == wanted, (body[:80], caught.value.details())
    server.raw(b"\x16\x03\x01\x02\x00\x01 no HTTP at all\r\n\r\n").close()
    server.raw(b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nContent-Length: 99\r\n\r\n{").close()
    nan = {"inputs": COLUMNS | {"price": [float("nan"), float("inf")]}}
    status, found = server.http(PREDICT, json.dumps(nan).encode())
    assert status == 200 and np.isnan(found["outputs"]["click"][0])  # a missing value, and no mistake


def test_hostile_requests_get_their_status_and_leave_no_memory_behind(server):
    for _ in range(10):
        be_hostile(server)
    before = server.memory()
    for _ in range(30):
        be_hostile(server)
    assert server.memory() - before < 48 << 20  # a body or an answer kept of each round would be 60 MiB
    assert server.over_rest() == server.over_grpc() == [1, 2]


def test_slow_clients_hold_up_nobody_and_are_cut_off(server):
    over = threading.Event()

    def nothing():
        over.wait(120)
        return iter(())

    stalled = [server.channel.stream_unary(METHOD).future(iter(nothing, 1)) for _ in range(40)]
    headers = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n"
    bodies = [server.raw(headers + b'\r\n{"inst') for _ in range(40)]
    unfinished = [server.raw(headers) for _ in range(40)]
    try:
        for _ in range(5):
            assert server.over_rest() == server.over_grpc() == [1, 2]
        for call in stalled:
            assert call.code().name == "CANCELLED"
        for connection in bodies:
            assert connection.recv(100).startswith(b"HTTP/1.1 504")
        for connection in unfinished:
            assert connection.recv(100) == b""  # closed: its headers never ended
        assert server.over_rest() == server.over_grpc() == [1, 2]
    finally:
        over.set()
        for connection in bodies + unfinished:
            connection.close()


PUSHER = """
import sys, time
from serving import releases, versions
folder, models = sys.argv[1], sys.argv[2:]
print("ready", flush=True)
for turn in range(1000):
    serves = versions.current(folder)
    releases.push(models[turn % len(models)], folder, {"run": str(turn)}, serves.name)
"""


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_kill_in_the_middle_of_a_push_and_of_serving(saved, tmp_path):
    """The process that pushes is killed at random moments, then the server too, in a swap; a version is
    half-written."""
    folder, draw = tmp_path / "feed" / "serving", random.Random(5)
    releases.push(saved / "1", folder, {"run": "first"}, "")
    releases.push(saved / "2", folder, {"run": "second"}, "1")
    server, over, seen, failures = Process(folder), threading.Event(), set(), []

    def ask(way):
        while not over.is_set():
            try:
                seen.add(tuple(way()))
            except Exception as error:
                failures.append(error)
            time.sleep(0.01)

    asking = [threading.Thread(target=ask, args=(way,)) for way in (server.over_rest, server.over_grpc)]
    for thread in asking:
        thread.start()
    command = [sys.executable, "-c", PUSHER, str(folder), *(str(saved / v) for v in "312")]
    try:
        for _ in range(6):
            pushing = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert pushing.stdout.readline() == "ready\n"
            time.sleep(draw.uniform(0, 0.2))
            pushing.kill()
            pushing.wait()
            pushing.stdout.close()
            assert versions.current(folder) is not None  # raises where it is not whole
        releases.promote(folder, 1, "after the kills")  # finishes what one of them may have begun
        until(lambda: server.over_rest() == [1, 2])
        releases.promote(folder, 2, "and once more")
        until(lambda: server.over_grpc() == [2, 4])
    finally:
        over.set()
        for thread in asking:
            thread.join()
        loading = str(releases.promote(folder, 1, "and killed as it begins to load").to)
        until(lambda: loading in [v["version"] for v in server.http("/v1/models/feed")[1][STATUS]])
        server.end(signal.SIGKILL)
    assert not failures and seen <= {(1, 2), (2, 4), (3, 6)}
    half = folder / "999"  # the highest, which no pointer names
    shutil.copytree(saved / "2", half)
    (half / "variables" / "variables.index").write_bytes(b"")
    releases.promote(folder, 1, "while no server is there")
    again = Process(folder)
    assert again.over_rest() == again.over_grpc() == [1, 2]
    assert again.end(signal.SIGTERM) == 0
