"""A running server: both fronts, the watch over the folder, and an end that drops no request."""

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc
from aiohttp import web

from serving.server.arrival import Arrival
from serving.server.grpc_front import grpc_server
from serving.server.limits import Limits
from serving.server.manager import Manager
from serving.server.predictor import Predictor
from serving.server.rest import application

if TYPE_CHECKING:
    from serving.server.request_log import RequestLog

POLL_SECONDS = 0.5
_LOG = logging.getLogger(__name__)


class Server:
    """Serves one model's folder.

    ```python
    server = Server(Manager(folder, "demo", {}), Limits(), "127.0.0.1", rest_port=0, grpc_port=0)
    await server.start()   # server.rest_port, server.grpc_port
    await server.stop()
    ```
    """

    def __init__(
        self,
        manager: Manager,
        limits: Limits,
        host: str,
        rest_port: int,
        grpc_port: int,
        log: "RequestLog | None" = None,
    ):
        """Port 0 takes one that is free; `log` is offered what was answered."""
        self.manager = manager
        self.host, self.rest_port, self.grpc_port = host, rest_port, grpc_port
        self._limits = limits
        self._predictor = Predictor(manager, limits, log)
        self._runner: web.AppRunner | None = None
        self._grpc: grpc.Server | None = None
        self._arrival = Arrival(limits.seconds)
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        """Loads what is there and listens.

        Raises:
          OSError: a port is taken, or the host is not this machine's.
          ValueError: no version could be loaded.
        """
        await self._first_versions()
        self._runner = web.AppRunner(
            application(self._predictor),
            access_log=None,
            shutdown_timeout=self._limits.drain_seconds,
            # aiohttp waits for an hour, also for headers that have begun and never end
            keepalive_timeout=self._limits.seconds,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.rest_port).start()
        self.rest_port = self._runner.addresses[0][1]
        self._grpc = grpc_server(self._predictor, self._arrival)
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{host}:{self.grpc_port}")
        except RuntimeError:
            raise OSError(f"gRPC cannot listen at {host}:{self.grpc_port}; is the port taken?") from None
        self._grpc.start()
        self._tasks = [asyncio.create_task(w) for w in (self._keep_looking(), self._keep_cutting_off())]

    async def _first_versions(self) -> None:
        for _ in range(5):  # a version that was pushed this second settles in the meantime
            await asyncio.to_thread(self.manager.look)
            if self.manager.served.loaded:
                return
            await asyncio.sleep(POLL_SECONDS)
        why = "; ".join(f"{v}: {said}" for v, said in self.manager.failures().items())
        raise ValueError(f"no version could be loaded{f' ({why})' if why else ''}")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await asyncio.to_thread(self.manager.look)
            except Exception:  # the folder may be gone for a moment; what is loaded serves on
                _LOG.exception("the served folder could not be read")

    async def _keep_cutting_off(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._arrival.cut_off()

    async def stop(self) -> None:
        """Takes no more requests, waits for those under way, and closes."""
        for task in self._tasks:
            task.cancel()
        if self._runner:
            ending = [self._runner.cleanup()]
            if self._grpc:
                ending.append(asyncio.to_thread(self._grpc.stop(self._limits.drain_seconds).wait))
            await asyncio.gather(*ending)
        await asyncio.to_thread(self._predictor.close)
        self.manager.close()
