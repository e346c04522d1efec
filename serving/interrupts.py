"""Ctrl-C that is not lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def not_lost() -> Iterator[None]:
    """Raises KeyboardInterrupt at the end of the block where what Ctrl-C hit within has swallowed it.

    Python raises it wherever the program is. C extensions that are just being imported (TensorFlow's, NumPy's)
    take it for an error of theirs and go on, and the command would run to its end. Where signals are not
    Python's own, or this is not the main thread, nothing is changed.

    Raises:
      KeyboardInterrupt: see above.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    told = False

    def interrupted(number: int, frame: Any) -> None:
        nonlocal told
        told = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if told:
        raise KeyboardInterrupt
