"""REST as TensorFlow Serving documents it (g3doc/api_rest.md), asked with nothing but the standard library."""

import json
import math
import socket
import time
import urllib.error
import urllib.request

import pytest

from serving.server.limits import Limits

PREDICT = "/v1/models/demo:predict"
ROW = {"price": 1.5, "id": "abc", "age": 30, "tags": ["x", ""]}


def columns(**changed):
    return {"inputs": {"price": [1.5], "id": ["abc"], "age": [30], "tags": [["x", ""]], **changed}}


def test_rows_and_columns(live):
    other = {"price": 0.1, "id": {"b64": "AP8="}, "age": -1, "tags": ["x", "y"]}
    status, found = live.http(PREDICT, {"instances": [ROW, other]})
    assert status == 200
    assert found == {
        "predictions": [
            {"click": 3.0, "length": 3, "like": [30.0, 1.0]},
            {"click": 0.2, "length": 2, "like": [-1.0, 2.0]},
        ]
    }
    status, found = live.http(PREDICT, columns(price=[1, 2.5], id=["a", "é"], age=[0, 1], tags=[["x"], [""]]))
    assert (status, found) == (
        200,
        {"outputs": {"click": [2.0, 5.0], "length": [1, 2], "like": [[0.0, 1.0], [1.0, 0.0]]}},
    )


def test_one_input_and_one_output_go_unnamed_and_bytes_are_base64(live):
    body = {"signature_name": "echo", "instances": ["a", {"b64": "Yg=="}]}
    assert live.http(PREDICT, body) == (200, {"predictions": [{"b64": "Yf8="}, {"b64": "Yv8="}]})
    body = {"signature_name": "echo", "inputs": ["a"]}
    assert live.http(PREDICT, body) == (200, {"outputs": [{"b64": "Yf8="}]})
    body = {"signature_name": "echo", "inputs": {"raw": ["a"]}}
    assert live.http(PREDICT, body) == (200, {"outputs": [{"b64": "Yf8="}]})


@pytest.mark.parametrize(
    ("which", "factor"),
    [("", 2), ("/versions/1", 1), ("/versions/3", 3), ("/labels/stable", 2), ("/labels/canary", 3)],
)
def test_every_version_and_label(live, which, factor):
    status, found = live.http(f"/v1/models/demo{which}:predict", columns())
    assert (status, found["outputs"]["click"]) == (200, [1.5 * factor])


def test_not_a_number_goes_in_and_out(live):
    status, found = live.http(
        PREDICT, b'{"instances": [%s]}' % json.dumps({**ROW, "price": math.nan}).encode()
    )
    assert status == 200 and math.isnan(found["predictions"][0]["click"])


def test_status_and_metadata(live):
    fine = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    status, found = live.http("/v1/models/demo")
    assert (status, found) == (200, {"model_version_status": [{"version": v, **fine} for v in "321"]})
    assert live.http("/v1/models/demo/versions/1")[1] == {"model_version_status": [{"version": "1", **fine}]}
    assert live.http("/v1/models/demo/labels/canary")[1]["model_version_status"][0]["version"] == "3"
    status, found = live.http("/v1/models/demo/metadata")
    assert found["model_spec"] == {"name": "demo", "signature_name": "", "version": "2"}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["tags"]["dtype"] == "DT_STRING"
    assert signature["inputs"]["tags"]["tensor_shape"]["dim"] == [
        {"size": "-1", "name": ""},
        {"size": "-1", "name": ""},
    ]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"]["age"]["int64_val"] == ["7"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/models/other", 404, "Could not find any versions of model other"),
        ("/v1/models/demo/versions/9", 404, "Could not find version 9 of model demo"),
        ("/v1/models/demo/versions/99999999999999999999", 400, "Failed to convert version"),
        ("/v1/models/demo/labels/nope", 400, "Unrecognized servable version label: nope"),
        ("/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/..%2f..%2fetc%2fpasswd", 404, "Could not find any versions of model ../../etc/passwd"),
        ("/v1/models/demo/../../../etc/passwd", 400, "Malformed request: GET /v1/models/demo"),
        ("/v1/models/demo:predict", 400, "Malformed request: GET /v1/models/demo:predict"),
        ("/etc/passwd", 404, "nothing is served at /etc/passwd"),
    ],
)
def test_what_is_not_there(live, path, status, said):
    found, content = live.http(path)
    assert found == status and said in content["error"]


DEEP = b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "The document is empty"),
        (b"{not json", 400, "JSON Parse error"),
        (b'{"instances": ["\xff"]}', 400, "JSON Parse error"),
        (DEEP, 400, "JSON Parse error: nested too deeply"),
        (b'{"instances": [%s]}' % (b"9" * 6000), 400, "JSON Parse error"),
        ([1, 2], 400, "Is not object"),
        ({}, 400, "Missing 'inputs' or 'instances' key"),
        ({"inputs": {}, "instances": []}, 400, "only one of"),
        ({"signature_name": 3, "instances": []}, 400, "'signature_name' key must be a string value"),
        ({"signature_name": "nope", "instances": [ROW]}, 400, 'Serving signature name: "nope" not found'),
        ({"instances": 3}, 400, "to be an list/array"),
        ({"instances": []}, 400, "No values in 'instances' array"),
        ({"instances": [1, 2]}, 400, "expecting list of objects"),
        ({"instances": [ROW, 3]}, 400, "got list at item 1"),
        ({"instances": [{"price": 1.0}]}, 400, "keys must be equal to: age,id,price,tags"),
        ({"instances": [{**ROW, "more": 1}]}, 400, "does not have named input: more"),
        ({"instances": [ROW, {**ROW, "tags": ["x"]}]}, 400, "Expecting shape [2] but got: [1]"),
        ({"inputs": {"price": [1.0]}}, 400, "Missing named input: age"),
        (columns(more=[1]), 400, "does not have named input: more"),
        (columns(price=["1"]), 400, "is not of expected type: float32"),
        (columns(price=[None]), 400, "is not of expected type: float32"),
        (columns(price=[1e39]), 400, "without loss of precision"),
        (b'{"inputs": {"price": [1e400]}}', 400, "JSON Parse error: Number too big to be stored in double."),
        (b'{"inputs": {"price": [%s.5]}}' % (b"9" * 400), 400, "Number too big"),
        (columns(price=[16777217]), 400, "without loss of precision"),
        (columns(age=[1.0]), 400, "is not of expected type: int64"),
        (columns(age=[True]), 400, "is not of expected type: int64"),
        (columns(age=[2**63]), 400, "is not of expected type: int64"),
        (columns(id=[3]), 400, "is not of expected type: string"),
        (columns(id=[{"b64": "?"}]), 400, "Unable to base64 decode"),
        (columns(id=[{"b65": "eA=="}]), 400, "not formatted correctly for base64"),
        (columns(id=["\ud800"]), 400, "surrogate"),
        (columns(tags=[["x"], ["y", "z"]]), 400, "unexpected size: 2"),
        (columns(tags=["x"]), 400, "Expected input tags to have shape"),
        (columns(price=1.0), 400, "Expected input price to have shape"),
        (columns(price=[0.0] * 1001), 400, "takes 1000 in a request"),
        (b" " * ((1 << 20) + 1), 413, "larger than 1048576 bytes"),
    ],
)
def test_what_is_refused_and_the_next_request_is_served(live, body, status, said):
    found, content = live.http(PREDICT, body)
    assert found == status and said in content["error"], content
    assert live.http(PREDICT, columns())[0] == 200


def test_what_is_not_predict(live):
    status, content = live.http("/v1/models/demo:classify", {"examples": []})
    assert status == 501 and "answers :predict" in content["error"]


def test_metrics_count_what_happened(serve):
    live = serve()
    live.http(PREDICT, columns())
    live.http(PREDICT, columns(price=["x"]))
    live.http("/v1/models/of_a_stranger:predict", columns())
    status, text = live.http("/monitoring/prometheus/metrics")
    assert status == 200
    assert ':tensorflow:serving:request_count{model_name="demo",status="OK"} 1\n' in text
    assert ':tensorflow:serving:request_count{model_name="demo",status="INVALID_ARGUMENT"} 1\n' in text
    assert ':tensorflow:serving:request_count{model_name="other",status="NOT_FOUND"} 1\n' in text
    latency = (
        ':tensorflow:serving:request_latency_count{model_name="demo",API="predict",entrypoint="REST"} 1\n'
    )
    assert latency in text
    assert ':mtl:serving:version{model_name="demo",version="1"} 1\n' in text


def test_a_body_that_is_no_gzip_writes_no_traceback(live, caplog):
    url = f"{live.url}/v1/models/demo:predict"
    request = urllib.request.Request(url, b"not compressed", {"Content-Encoding": "gzip"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    assert caught.value.code == 400 and b"the body cannot be read" in caught.value.read()
    assert live.http("/v1/models/demo")[0] == 200  # what the first connection had to say has been said by now
    assert not caplog.records


@pytest.mark.parametrize("before", [0, 1])
def test_headers_that_come_drop_by_drop_are_cut_off(serve, before):
    live = serve(limits=Limits(seconds=1.0))
    with socket.create_connection(("127.0.0.1", live.server.rest_port), 20) as slow:
        begin = b"GET /v1/models/demo HTTP/1.1\r\nHost: a\r\n"
        if before:
            slow.sendall(begin + b"\r\n")
            assert slow.recv(1 << 16).startswith(b"HTTP/1.1 200")
        slow.sendall(begin + b"X-Slow: ")
        slow.settimeout(0.1)
        end, closed = time.monotonic() + 20, False
        while not closed:
            assert time.monotonic() < end
            try:
                slow.sendall(b"x")
                closed = slow.recv(100) == b""
            except TimeoutError:
                assert live.http("/v1/models/demo")[0] == 200
            except ConnectionError:
                closed = True
