"""A proxy on this machine before a server, which cuts connections in the middle as a network does, and
refuses requests as a store does when credentials are not in force any more."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

_AT_ONCE = 1 << 14  # bytes
_ANSWER = "HTTP/1.1 {} Refused\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing says that the rest was lost


class Proxy:
    """What is between a client and a server.

    Attributes:
      left: how many bytes still go through, either way, until every connection is reset; None is without end.
      refused: whether a request, of which it gets the beginning, is answered with `refusal`.
      refusal: status and body of that answer.
    """

    def __init__(self, server: str):
        parts = urlsplit(server)
        self._server = parts.hostname, parts.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.left: int | None = None
        self.refused: Callable[[bytes], bool] = lambda request: False
        self.refusal = 403, ""
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                other = socket.create_connection(self._server)
                for ends in ((one, other, self._refuse), (other, one, lambda *given: False)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _refuse(self, client: socket.socket, request: bytes) -> bool:
        if not self.refused(request):
            return False
        status, body = self.refusal
        client.sendall(_ANSWER.format(status, len(body), body).encode())
        while client.recv(_AT_ONCE):  # to its end, or the answer would be lost
            pass
        return True

    def _carry(self, source: socket.socket, sink: socket.socket, refuse: Callable[..., bool]) -> None:
        with contextlib.suppress(OSError):
            while some := source.recv(_AT_ONCE):
                if refuse(source, some):
                    break
                with self._lock:
                    lost = self.left is not None and self.left < len(some)
                    if self.left is not None:
                        some = some[: self.left]
                        self.left -= len(some)
                sink.sendall(some)
                if lost:
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def proxy(server: str) -> Iterator[Proxy]:
    """A proxy before the server at an address such as `http://127.0.0.1:9000`."""
    made = Proxy(server)
    threading.Thread(target=made.serve, daemon=True).start()
    try:
        yield made
    finally:
        made.close()
