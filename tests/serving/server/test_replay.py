"""Warm-up requests are answered before a version takes others; a version that cannot is not served."""

import os
import shutil
import time

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.replay import FILE, replay
from serving.server.servable import Servable


def write_requests(folder, *inputs, signature="serving_default"):
    """A request for each: name -> values, of the model of `conftest`."""
    (folder / FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / FILE)) as file:
        for given in inputs:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = "any", signature
            for name, values in given.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            file.write(log.SerializeToString())


@pytest.fixture
def version(saved, tmp_path):
    shutil.copytree(saved / "2", tmp_path / "2")
    return tmp_path / "2"


GOOD = {"price": [1.5, 2.5], "id": [b"a", b"b"]}  # the rest takes defaults


def test_each_request_is_asked_in_order(version, monkeypatch):
    write_requests(version, GOOD, {"price": [4.0], "id": [b"c"]})
    servable, seen = Servable(version, 2), []
    call = servable.call
    monkeypatch.setattr(servable, "call", lambda *given: seen.append(call(*given)) or seen[-1])
    assert replay(servable, version) == 2
    assert [answer["click"].tolist() for answer in seen] == [[3, 5], [8]]


def test_a_version_without_requests_is_served(version):
    assert replay(Servable(version, 2), version) == 0


@pytest.mark.parametrize(
    ("inputs", "signature", "said"),
    [
        ([GOOD, {"price": [1.5], "id": [7]}], "serving_default", "2 of .* is refused: Expected input id"),
        ([GOOD], "nothing", '1 of .* is refused: Serving signature key "nothing" not found'),
    ],
)
def test_a_refused_request_says_which(version, inputs, signature, said):
    write_requests(version, *inputs, signature=signature)
    with pytest.raises(ValueError, match=f"warm-up request {said}"):
        replay(Servable(version, 2), version)


def test_a_file_that_is_cut_off_is_broken(version):
    write_requests(version, GOOD, GOOD)
    content = (version / FILE).read_bytes()
    (version / FILE).write_bytes(content[:-5])
    with pytest.raises(ValueError, match="is broken after 1 requests"):
        replay(Servable(version, 2), version)


def test_a_version_that_cannot_be_warmed_up_is_not_served_and_the_one_before_stays(serve, saved):
    live = serve((1,), current=1)
    shutil.copytree(saved / "2", live.folder / ".part")
    write_requests(live.folder / ".part", {"price": [[1.0]], "id": [b"a"]})
    os.rename(live.folder / ".part", live.folder / "2")
    (live.folder / "CURRENT").write_text("2")
    end, two = time.monotonic() + 120, {"state": ""}
    while two["state"] != "END" and time.monotonic() < end:
        time.sleep(0.05)
        status, content = live.http("/v1/models/demo/versions/2")
        two = content["model_version_status"][0] if status == 200 else two
    assert two["state"] == "END" and "warm-up request 1 of" in two["status"]["error_message"]
    body = {"inputs": {"price": [2.0], "id": ["a"], "age": [1], "tags": [["x"]]}}
    status, answer = live.http("/v1/models/demo:predict", body)
    assert (status, answer["outputs"]["click"]) == (200, [2.0])
