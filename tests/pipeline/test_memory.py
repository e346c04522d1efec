import errno
import platform

import pytest

from pipeline import memory


def test_the_peak_is_of_the_time_since_it_was_restarted():
    memory.restart_peak()
    before = memory.peak()
    if before is None:
        pytest.skip("this system does not say how much memory a process held")
    held = bytearray(b"x") * (200 << 20)
    assert memory.peak() > before + (150 << 20)
    del held
    memory.restart_peak()
    assert memory.peak() < before + (100 << 20)


def test_what_was_freed_between_what_is_held_goes_back():
    memory.restart_peak()
    before = memory.peak()
    if before is None or platform.libc_ver()[0] != "glibc":
        pytest.skip(
            "this system does not say how much memory a process held, or keeps freed memory otherwise"
        )
    pieces = [bytearray(b"x") * 60_000 for _ in range(4000)]
    held = pieces[::100]
    del pieces
    memory.give_back()
    memory.restart_peak()
    assert memory.peak() < before + (60 << 20), "of 240 MB a hundredth is held"
    assert len(held) == 40


def test_memory_that_was_refused_is_told_however_the_error_came():
    try:
        try:
            bytearray(1 << 60)
        except MemoryError as error:
            raise RuntimeError("a step failed") from error
    except RuntimeError as error:
        said = memory.refused(error)
    assert said.startswith("out of memory (MemoryError)") and "give it more" in said
    assert memory.refused(RuntimeError("std::bad_alloc [while running 'Read']"))
    assert memory.refused(OSError(errno.ENOMEM, "Cannot allocate memory"))
    for other in (OSError(errno.ENOSPC, "No space left on device"), ValueError("memory"), None):
        assert memory.refused(other) == ""
