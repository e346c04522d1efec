"""More than a server takes on is refused at once, and an end waits for what is under way."""

import asyncio
import http.client
import socket
import threading
import time

import numpy as np
import pytest

from serving.server.errors import RequestError
from serving.server.limits import Limits

PREDICT = "/v1/models/demo:predict"
BODY = {"inputs": {"price": [1.0], "id": ["a"], "age": [1], "tags": [["x"]]}}


def in_thread(live, results):
    thread = threading.Thread(target=lambda: results.append(live.http(PREDICT, BODY)))
    thread.start()
    return thread


def test_too_many_at_once_and_an_end_that_waits(serve, hold_calls):
    live = serve(limits=Limits(concurrency=2, threads=1))
    gate, results = hold_calls(live), []
    threads = [in_thread(live, results), in_thread(live, results)]
    assert gate.inside.acquire(timeout=60)
    while live.server._predictor._admitted < 2:
        time.sleep(0.01)
    status, content = live.http(PREDICT, BODY)
    assert status == 429 and "2 requests are under way already" in content["error"]
    assert live.http("/v1/models/demo")[0] == 200  # the event loop is free
    ending = asyncio.run_coroutine_threadsafe(live.server.stop(), live._loop)
    while True:  # no new connections
        try:
            socket.create_connection(("127.0.0.1", live.server.rest_port), timeout=1).close()
        except OSError:
            break
        time.sleep(0.01)
    assert not results
    gate.open.set()
    for thread in threads:
        thread.join()
    ending.result(60)
    assert [status for status, _ in results] == [200, 200]


def test_time(serve, hold_calls):
    live = serve(limits=Limits(seconds=2, concurrency=1))
    gate = hold_calls(live)
    status, content = live.http(PREDICT, BODY)
    assert status == 504 and "time is over" in content["error"]
    assert live.http(PREDICT, BODY)[0] == 429  # its thread still runs, and counts
    gate.open.set()
    while live.server._predictor._admitted:
        time.sleep(0.01)
    assert live.http(PREDICT, BODY)[0] == 200
    # a body that does not arrive
    connection = http.client.HTTPConnection("127.0.0.1", live.server.rest_port, timeout=60)
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", "100")
    connection.endheaders(b'{"inst')
    response = connection.getresponse()
    assert response.status == 504 and b"did not arrive in time" in response.read()
    assert live.http(PREDICT, BODY)[0] == 200


def test_a_body_without_a_length_is_bounded_too(live):
    connection = http.client.HTTPConnection("127.0.0.1", live.server.rest_port, timeout=60)
    chunks = (b" " * (1 << 16) for _ in range(40))
    try:
        connection.request("POST", PREDICT, chunks, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server did not read to the end
    assert live.http(PREDICT, BODY)[0] == 200


def test_a_call_that_takes_longer_than_it_may_is_cut_off_by_the_session(live):
    servable = live.server.manager.served.loaded[1]
    many = {"price": np.ones(4_000_000, np.float32), "id": np.full(4_000_000, b"a", object)}
    many["tags"] = np.full((4_000_000, 1), b"", object)
    with pytest.raises(RequestError) as caught:
        servable.call("", many, [], 5_000_000, 0.001)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert servable.call("", {n: x[:2] for n, x in many.items()} | {"age": np.ones(2, np.int64)}, [], 5, 60)
