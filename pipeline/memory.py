"""The most memory that this process held over a stretch of its life; giving back what it freed."""

import ctypes
from pathlib import Path

_C = ctypes.CDLL(None)
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def restart_peak() -> None:
    """Forgets the peak so far; nothing where the system has no such counter."""
    try:
        _RESET.write_text("5")  # proc(5): sets VmHWM to what is held now
    except OSError:
        pass


def peak() -> int | None:
    """The largest resident memory since `restart_peak`, in bytes, of this process without its children; None
    where the system does not say."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    held = [line for line in lines if line.startswith("VmHWM:")]
    return int(held[0].split()[1]) * 1024 if held else None


def give_back() -> None:
    """Gives freed memory back to the system, between the parts of a long work.

    glibc keeps what threads free, in pieces between what they still hold; the more parts there were, the more
    it keeps. Nothing where the C library is another.
    """
    if hasattr(_C, "malloc_trim"):
        _C.malloc_trim(0)
