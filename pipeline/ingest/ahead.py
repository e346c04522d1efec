"""Work of C++ beside that of Python: parsing, encoding and compressing let go of Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = 2


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in order; the next one is made in another thread while one is used."""
    iterator = iter(items)
    nothing = object()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, iterator, nothing)
        while (item := following.result()) is not nothing:
            following = thread.submit(next, iterator, nothing)
            yield item


def mapped(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The function's results in order; those of the next `THREADS` items are made while one is used."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS) as threads:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
