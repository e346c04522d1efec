"""How much a server takes on: its memory and time are bounded by these."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Bounds of one server.

    Attributes:
      body: bytes of a request, and of the tensors that it unfolds to.
      rows: first dimension of an input.
      seconds: from a request's arrival to its answer, its body's way included; and for how long a REST
        connection may have no request, whose headers have ended, under way.
      concurrency: requests at once; more are told RESOURCE_EXHAUSTED.
      threads: model calls at once; the others wait. A call lets go of the processor while it
        waits for Python's lock: with four a core more was answered than with one.
      drain_seconds: what requests under way are given when the server ends.
    """

    body: int = 16 << 20
    rows: int = 20_000
    seconds: float = 30.0
    concurrency: int = 128
    threads: int = field(default_factory=lambda: 4 * (os.cpu_count() or 1))
    drain_seconds: float = 30.0
