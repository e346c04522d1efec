"""Google's Secret Manager, by a server on this machine that answers as its documentation says."""

import base64
import http.server
import json
import threading

import pytest
import requests

from pipeline.schedule.secret import secret


@pytest.fixture
def api():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            there = self.path == "/v1/projects/shop/secrets/SHOP_WEBHOOK/versions/latest:access"
            self.send_response(200 if there else 404)
            self.end_headers()
            data = base64.b64encode("https://hooks.example/ö".encode()).decode()
            self.wfile.write(json.dumps({"name": "x", "payload": {"data": data}}).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_its_newest_version_is_read(api):
    assert secret(requests.Session(), "shop", "SHOP_WEBHOOK", api) == "https://hooks.example/ö"


def test_one_that_is_not_there_is_an_error(api):
    with pytest.raises(requests.HTTPError, match="404"):
        secret(requests.Session(), "shop", "OTHER", api)
