"""Work of C++ beside that of Python: parsing and compressing let go of Python's lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in order; the next one is made in another thread while one is used."""
    iterator = iter(items)
    nothing = object()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, iterator, nothing)
        while (item := following.result()) is not nothing:
            following = thread.submit(next, iterator, nothing)
            yield item
