"""Which model at which address."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit


@dataclass(frozen=True)
class Target:
    """A model on a server.

    Attributes:
      rest: whether REST is spoken; else gRPC.
      address: `http://host:port` for REST, `host:port` for gRPC.
      model: its name; version and label, at most one of them, say which version.
    """

    rest: bool
    address: str
    model: str
    version: int | None = None
    label: str = ""

    @property
    def url(self) -> str:
        """Of the model, for REST."""
        which = f"/versions/{self.version}" if self.version is not None else ""
        which = f"/labels/{quote(self.label, safe='')}" if self.label else which
        return f"{self.address}/v1/models/{quote(self.model, safe='')}{which}"


def target(server: str, model: str, version: int | None, label: str) -> Target:
    """Of `http://host:port`, `https://…`, `grpc://host:port` or `host:port` (gRPC).

    Raises:
      ValueError: the address is none of these, no model is named, or both version and label are.
    """
    if version is not None and label:
        raise ValueError("give a version or a label, not both")
    if not model:
        raise ValueError("name the model, as in `mtl serve`'s first line")
    parts = urlsplit(server if "://" in server else f"grpc://{server}")
    if parts.scheme not in ("http", "https", "grpc") or not parts.hostname:
        raise ValueError(f"{server} is not http://HOST:PORT (REST), grpc://HOST:PORT or HOST:PORT (gRPC)")
    if parts.scheme == "grpc" and not parts.port:
        raise ValueError(f"{server} has no port; gRPC is at 8500 unless it was set otherwise")
    rest = parts.scheme != "grpc"
    address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}" if rest else parts.netloc
    return Target(rest, address, model, version, label)
