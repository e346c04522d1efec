"""A service account of Google's as a machine has one, and the server on this machine that gives it tokens."""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = f"token-{uuid.uuid4().hex}"


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        said = json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *given):
        pass


@contextlib.contextmanager
def service_account(file: Path) -> Iterator[list[str]]:
    """Writes what GOOGLE_APPLICATION_CREDENTIALS may name; the values are those that are secret."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), _Tokens) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        content = {
            "type": "service_account",
            "project_id": "shop",
            "private_key_id": uuid.uuid4().hex,
            "private_key": key.decode(),
            "client_email": "ranker@shop.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{server.server_port}/token",
        }
        file.write_text(json.dumps(content))
        yield [content["private_key_id"], key.decode().splitlines()[5], TOKEN]
        server.shutdown()
