"""Serves a model in a process that has TensorFlow and the server, and nothing else of this project.

    python -m serving.standalone FOLDER

serves the versions in FOLDER on free ports of loopback, as the model `candidate`. Once it does, it prints
one line of JSON: `rest`, `grpc` (ports) and `load_seconds`. It ends when its standard input does, so that it
never outlives who started it, and prints `peak_bytes`, the most resident memory that it held. What was
imported before the model is loaded is the server; importing anything else of this project, TFX or TensorFlow
Transform is made to fail first, as it would on a machine that has only TensorFlow Serving.
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

NAME = "candidate"
_FORBIDDEN = ("pipeline", "mtl_models", "serving", "tfx", "tensorflow_transform")


class _Refuse:
    """An import hook that stands for the project not being installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in _FORBIDDEN:
            raise ModuleNotFoundError(f"No module named '{name}' where models are served")
        return None


async def _serve(folder: Path) -> None:
    from serving.server.limits import Limits
    from serving.server.manager import Manager
    from serving.server.server import Server

    sys.meta_path.insert(0, _Refuse())
    limits = Limits(body=1 << 30, rows=1 << 30, seconds=300.0)
    server = Server(Manager(folder, NAME, {}), limits, "127.0.0.1", rest_port=0, grpc_port=0)
    begin = time.perf_counter()
    try:
        await server.start()
        load_seconds = time.perf_counter() - begin
        _say({"rest": server.rest_port, "grpc": server.grpc_port, "load_seconds": load_seconds})
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await server.stop()
    _say({"peak_bytes": _peak_bytes()})


def _say(content: dict[str, float]) -> None:
    print(json.dumps(content), flush=True)


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the parent held when it started this process
        return next(int(x.split()[1]) << 10 for x in status.read_text().splitlines() if x[:6] == "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        asyncio.run(_serve(Path(sys.argv[1])))
    except ValueError as error:
        sys.exit(str(error))
