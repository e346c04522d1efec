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
