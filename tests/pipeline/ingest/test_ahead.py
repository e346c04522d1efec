"""Items keep their order, and errors their place, whatever other threads do."""

import time

import pytest

from pipeline.ingest.ahead import ahead, mapped


def broken():
    yield from range(5)
    raise ValueError("no sixth")


def test_items_come_in_order():
    assert list(ahead(range(20))) == list(range(20)) and list(ahead([])) == []
    # later ones are ready sooner
    assert list(mapped(lambda i: time.sleep(0.002 * (20 - i)) or i, range(20))) == list(range(20))
    assert list(mapped(str, [])) == []


def test_an_error_comes_after_what_was_before_it():
    for found in (ahead(broken()), mapped(lambda i: 1 // (5 - i) and i or i, range(9))):
        seen = []
        with pytest.raises((ValueError, ZeroDivisionError)):
            for item in found:
                seen.append(item)
        assert seen == [0, 1, 2, 3, 4]
