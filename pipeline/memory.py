"""The memory that this process holds: the most over a stretch of its life, giving it back, having no more."""

import ctypes
import errno
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


def refused(error: BaseException | None) -> str:
    """What to tell where the system gave no more memory; empty where an error is of something else.

    Args:
      error: its causes and what was handled when it was raised are looked at too.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (
            isinstance(error, MemoryError)
            or isinstance(error, OSError)
            and error.errno == errno.ENOMEM
            or type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's
            or "std::bad_alloc" in str(error)
        ):
            held = peak()
            holds = "" if held is None else f"; this process held {held / 1e6:,.0f} MB"
            return (
                f"out of memory ({type(error).__name__}){holds}: give it more, or less at a time by `beam: "
                "{workers: 1}` and a smaller `training.batch_size`, and run again: what had finished is used"
            )
        error = error.__cause__ or error.__context__
    return ""
