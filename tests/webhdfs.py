"""A server of this machine that speaks WebHDFS, as far as Beam and the package `hdfs` call it.

After Hadoop's "WebHDFS REST API": a folder is there while a file is in it, nothing is written over, and a file
is seen while it is being written.
"""

import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "/webhdfs/v1"


class WebHdfs(ThreadingHTTPServer):
    """`files`: path → content; `times`: path → when it was written, in milliseconds since 1970."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.times: dict[str, int] = {}

    def put(self, path: str, content: bytes) -> None:
        self.files[path], self.times[path] = content, time.time_ns() // 1_000_000

    def status(self, path: str, name: str) -> dict | None:
        if path in self.files:
            size, at = len(self.files[path]), self.times[path]
            return {"pathSuffix": name, "type": "FILE", "length": size, "modificationTime": at}
        if path == "/" or any(file.startswith(f"{path.rstrip('/')}/") for file in self.files):
            return {"pathSuffix": name, "type": "DIRECTORY", "length": 0, "modificationTime": 0}
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebHdfs

    def do_GET(self):
        path, given = self._asked()
        status = self.server.status(path, "")
        if status is None:
            return self._refuse(404, "FileNotFoundException", f"File does not exist: {path}")
        match given["op"]:
            case "GETFILESTATUS":
                self._answer({"FileStatus": status})
            case "LISTSTATUS":
                below = f"{path.rstrip('/')}/"
                names = {f[len(below) :].partition("/")[0] for f in self.server.files if f.startswith(below)}
                found = [self.server.status(below + name, name) for name in sorted(names)]
                self._answer({"FileStatuses": {"FileStatus": found or [status]}})
            case "GETFILECHECKSUM":
                digest = hashlib.md5(self.server.files[path]).hexdigest()
                self._answer({"FileChecksum": {"algorithm": "MD5", "length": 16, "bytes": digest}})
            case "OPEN":
                begin = int(given.get("offset", 0))
                end = begin + int(given["length"]) if "length" in given else None
                self._send(200, self.server.files[path][begin:end])

    def do_PUT(self):
        path, given = self._asked()
        if given["op"] == "RENAME":
            for of in (self.server.files, self.server.times):
                of[given["destination"]] = of.pop(path)
            return self._answer({"boolean": True})
        if path in self.server.files and "sent" not in given:
            return self._refuse(403, "FileAlreadyExistsException", f"{path} already exists")
        if "sent" not in given:
            self.send_response(307)
            self.send_header("Location", f"http://{self.headers['Host']}{self.path}&sent=true")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.server.put(path, b"")
        while size := int(self.rfile.readline(), 16):
            self.server.put(path, self.server.files[path] + self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        self._send(201, b"")

    def do_DELETE(self):
        path, _ = self._asked()
        self._answer({"boolean": self.server.files.pop(path, None) is not None})

    def _asked(self):
        parts = urlsplit(self.path)
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return unquote(parts.path).removeprefix(PREFIX), given

    def _answer(self, said):
        self._send(200, json.dumps(said).encode())

    def _refuse(self, code, exception, message):
        said = {"RemoteException": {"exception": exception, "message": message}}
        self._send(code, json.dumps(said).encode())

    def _send(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given):
        pass
