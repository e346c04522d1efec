"""Ctrl-C where what it hits swallows it, and where it does not."""

import contextlib
import os
import signal
import threading

import pytest

from serving.interrupts import not_lost


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_what_an_import_swallows_is_raised_after_it():
    after = False
    with pytest.raises(KeyboardInterrupt), not_lost():
        with contextlib.suppress(BaseException):
            press()
        after = True
    assert after and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_nothing_swallows_is_raised_at_once():
    with pytest.raises(KeyboardInterrupt), not_lost():
        press()
        raise AssertionError("went on")
    with not_lost():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_and_other_handlers_are_left_alone():
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with not_lost():
            press()
        assert seen == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)
    inside = []

    def elsewhere() -> None:
        with not_lost():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert inside == [signal.getsignal(signal.SIGINT)]
