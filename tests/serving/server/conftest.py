"""A small model in three versions, and a server of it in this process on free ports."""

import asyncio
import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.server.limits import Limits
from serving.server.manager import Manager
from serving.server.server import Server


class Model(tf.Module):
    """`click`: price times the version; `length`: of the id; `like`: the age, and how many tags."""

    def __init__(self, version: int):
        super().__init__()
        self.factor = tf.Variable(float(version))

    @tf.function(
        input_signature=[
            {
                "price": tf.TensorSpec([None], tf.float32, "price"),
                "id": tf.TensorSpec([None], tf.string, "id"),
                "age": tf.TensorSpec([None], tf.int64, "age"),
                "tags": tf.TensorSpec([None, None], tf.string, "tags"),
            }
        ]
    )
    def rows(self, x):
        there = tf.reduce_sum(tf.cast(x["tags"] != "", tf.float32), 1)
        return {
            "click": x["price"] * self.factor,
            "length": tf.strings.length(x["id"]),
            "like": tf.stack([tf.cast(x["age"], tf.float32), there], 1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "raw")])
    def echo(self, raw):
        return {"raw_bytes": tf.strings.join([raw, b"\xff"])}


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """`1`, `2` and `3`, with defaults for the age and the tags."""
    folder = tmp_path_factory.mktemp("saved")
    for version in (1, 2, 3):
        model = Model(version)
        tf.saved_model.save(
            model,
            str(folder / str(version)),
            signatures={"serving_default": model.rows, "echo": model.echo},
        )
        path = folder / str(version) / "saved_model.pb"
        content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        signature = content.meta_graphs[0].signature_def["serving_default"]
        signature.defaults["age"].CopyFrom(tf.make_tensor_proto([7], tf.int64))
        signature.defaults["tags"].CopyFrom(tf.make_tensor_proto([[""]], tf.string))
        path.write_bytes(content.SerializeToString())
    return folder


class Live:
    """A server, its loop in a thread of its own, and plain HTTP to it."""

    def __init__(self, folder: Path, labels: dict[str, int], limits: Limits, every_version: bool, log=None):
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        manager = Manager(folder, "demo", labels, every_version)
        self.server = Server(manager, limits, "127.0.0.1", 0, 0, log)
        self.wait(self.server.start())

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def close(self) -> None:
        self.wait(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.rest_port}"

    def http(self, path: str, body: Any = None) -> tuple[int, Any]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(self.url + path, data, timeout=60) as response:
                text, status = response.read().decode(), response.status
        except urllib.error.HTTPError as error:
            text, status = error.read().decode(), error.code
        return status, text if "prometheus" in path else json.loads(text)


@pytest.fixture
def serve(tmp_path, saved, monkeypatch):
    """`serve(versions=(1, 2))` is a running server of copies of those versions, which looks often."""
    monkeypatch.setattr("serving.server.manager.SETTLE_SECONDS", 0.3)
    monkeypatch.setattr("serving.server.server.POLL_SECONDS", 0.1)
    running = []

    def start(
        versions: tuple[int, ...] = (1,),
        labels: dict[str, int] | None = None,
        limits: Limits = Limits(),
        every_version: bool = False,
        current: int | None = None,
        log=None,
    ) -> Live:
        folder = tmp_path / "served"
        for version in versions:
            shutil.copytree(saved / str(version), folder / str(version))
        if current is not None:
            (folder / "CURRENT").write_text(str(current))
        running.append(Live(folder, labels or {}, limits, every_version, log))
        return running[-1]

    yield start
    for live in running:
        live.close()


@pytest.fixture(scope="session")
def live(saved):
    """Versions 1 to 3, `CURRENT` is 2, the label canary is 3; for tests that change nothing."""
    (saved / "CURRENT").write_text("2")
    live = Live(saved, {"canary": 3}, Limits(body=1 << 20, rows=1000), every_version=True)
    # it serves once one is loaded, and on a busy machine the last may have been written only just now
    end = time.monotonic() + 120
    while len(live.server.manager.served.loaded) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    yield live
    live.close()


class Gate:
    """Holds model calls until it is opened."""

    def __init__(self, live: Live, monkeypatch: pytest.MonkeyPatch):
        self.open, self.inside = threading.Event(), threading.Semaphore(0)
        servable = next(iter(live.server.manager.served.loaded.values()))
        call = servable.call

        def waiting(*args):
            self.inside.release()
            assert self.open.wait(120)
            return call(*args)

        monkeypatch.setattr(servable, "call", waiting)


@pytest.fixture
def hold_calls(monkeypatch):
    """`hold_calls(live)` keeps model calls waiting until its `open` is set."""
    return lambda live: Gate(live, monkeypatch)
