"""Where model calls run: so many at a time, for so long."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from serving.server.errors import RequestError
from serving.server.limits import Limits
from serving.server.manager import Manager
from serving.server.metrics import Metrics

if TYPE_CHECKING:
    from serving.server.request_log import RequestLog

Answer = TypeVar("Answer")


class Predictor:
    """Runs requests in threads, within the limits, and counts them."""

    def __init__(self, manager: Manager, limits: Limits, log: "RequestLog | None" = None):
        self.manager = manager
        self.log = log
        self.limits = limits
        self.metrics = Metrics()
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="predict")
        # a place a call; taken and given back without a line of Python, which a semaphore is written in
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limits.threads):
            self._places.put(None)
        self._lock = threading.Lock()
        self._admitted = 0

    def admit(self) -> "Admission":
        """A place for a request; RESOURCE_EXHAUSTED where none is free."""
        with self._lock:
            if self._admitted < self.limits.concurrency:
                self._admitted += 1
                return Admission(self)
        raise RequestError(
            "RESOURCE_EXHAUSTED", f"{self.limits.concurrency} requests are under way already; try later"
        )

    def _leave(self) -> None:
        with self._lock:
            self._admitted -= 1

    def count(self, entrypoint: str, model: str, status: str, began: float) -> None:
        """Records a request's end; names of models that are not served are counted as one."""
        known = model if model == self.manager.name else "other"
        self.metrics.record(known, entrypoint, status, time.monotonic() - began)

    def close(self) -> None:
        """Waits for the calls under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self.log:
            self.log.close()


class Admission:
    """A request's place among those at once, kept until its call has really ended."""

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self._running = False

    def __enter__(self) -> "Admission":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._running:
            self._predictor._leave()

    def call(self, work: Callable[[float], Answer], deadline: float) -> Answer:
        """Calls `work` with the seconds that are left, once fewer calls than there may be are under way.

        Args:
          work: must end within the seconds that it is given.
          deadline: on time.monotonic()'s clock.

        Raises:
          RequestError: DEADLINE_EXCEEDED, or what `work` raises.
        """
        places = self._predictor._places
        try:
            places.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise _late() from None
        try:
            if (left := deadline - time.monotonic()) <= 0:
                raise _late()
            return work(left)
        finally:
            places.put(None)

    async def run(self, work: Callable[[float], Answer], deadline: float) -> Answer:
        """The same in another thread, for an event loop; where time is over, the call may outlive this."""
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._predictor._pool, self.call, work, deadline)
        self._running = True
        call.add_done_callback(self._ended)
        done, _ = await asyncio.wait([call], timeout=max(0.0, deadline - time.monotonic()) + 0.05)
        if not done:
            raise _late()
        return call.result()

    def _ended(self, call: asyncio.Future) -> None:
        self._predictor._leave()
        if not call.cancelled():
            call.exception()  # looked at: nobody may be waiting any more


def _late() -> RequestError:
    return RequestError("DEADLINE_EXCEEDED", "the request's time is over")
