"""The most memory that this process held over a stretch of its life."""

from pathlib import Path

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
