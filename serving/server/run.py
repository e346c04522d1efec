"""`mtl serve`: a server until it is told to end."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from serving.interrupts import not_lost
from serving.server import binary
from serving.server.limits import Limits
from serving.versions import versions

if TYPE_CHECKING:
    from serving.server.server import Server


class CannotServe(ValueError):
    """The folder, a name or an address cannot be used; the message says why."""


def serve(
    folder: Path,
    name: str,
    host: str,
    rest_port: int,
    grpc_port: int,
    labels: Mapping[str, int],
    every_version: bool,
    limits: Limits,
    log: tuple[Path, float] | None = None,
    say: Callable[[str], None] = print,
    quiet: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> int:
    """Serves a folder of versions until SIGTERM or SIGINT, and gives the exit code.

    Args:
      folder: of the versions.
      name: of the model in requests; the recommender's name where empty.
      host: address to listen on.
      rest_port, grpc_port: 0 takes one that is free.
      labels: versions by label.
      every_version: load all, and not only the one that serves and those with labels.
      limits: what the server takes on.
      log: folder of the request log, and the share of requests that go there; see
        `serving.server.request_log`. TensorFlow Serving, which logs otherwise, is not used then.
      say: told the addresses.
      quiet: a context that keeps TensorFlow's greetings away.

    Raises:
      CannotServe: see there.
    """
    name = name or named_after(folder)
    if not versions(folder):
        raise CannotServe(
            f"{folder} has no version to serve: <number>/saved_model.pb is looked for, "
            "as in output/demo/serving"
        )
    if set(name) & set("/:"):
        raise CannotServe(f"the name {name!r} could not be asked for: leave out / and :")
    if log is None and (real := binary.runner(host, rest_port, grpc_port)):
        what = f"{real.path} with {binary.IMAGE}" if real.container else real.path
        say(f"{what} serves; REST: {_url(host, rest_port)}   gRPC: {host}:{grpc_port}")
        return binary.run(real, folder, name, labels, every_version, limits)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("serving").setLevel(logging.INFO)
    with quiet(), not_lost():
        import tensorflow as tf

        from serving.server.manager import Manager
        from serving.server.request_log import RequestLog
        from serving.server.server import Server
    tf.get_logger().setLevel(logging.ERROR)
    try:
        written = RequestLog(*log) if log else None
        server = Server(
            Manager(folder, name, labels, every_version), limits, host, rest_port, grpc_port, written
        )
        asyncio.run(_until_told(server, name, say, quiet))
    except (OSError, ValueError) as error:
        raise CannotServe(f"{folder}: {error}") from None
    return 0


def named_after(folder: Path) -> str:
    """`demo` of output/demo/serving, and otherwise the folder's own name."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "serving" and folder.parent.name else folder.name


async def _until_told(
    server: "Server", name: str, say: Callable[[str], None], quiet: Callable[[], AbstractContextManager[None]]
) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    try:
        with quiet():
            await server.start()
        gc.freeze()  # TensorFlow's million objects, which the collector would go through again and again
        served = server.manager.served
        url = _url(server.host, server.rest_port)
        say(f"{name}: version {served.default} serves")
        say(f"REST:  {url}/v1/models/{name}:predict")
        say(f"gRPC:  {server.host}:{server.grpc_port}")
        say(
            f"next:  curl {url}/v1/models/{name}/metadata\n"
            f"       mtl predict --server {url} --model {name} --input FILE"
        )
        await told.wait()
        say("ending: requests under way are answered first")
    finally:
        await server.stop()


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
