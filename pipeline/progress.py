"""How far a step is, from inside it to whoever shows it (TFX gives executors no way to say so)."""

from collections.abc import Callable

_listener: Callable[[str, float | None], None] | None = None


def listen(listener: Callable[[str, float | None], None] | None) -> None:
    """Sets who is told: called with a short text and the share done, 0–1 or None where unknown."""
    global _listener
    _listener = listener


def tell(text: str, share: float | None = None) -> None:
    """Says how far the running step is."""
    if _listener is not None:
        _listener(text, share)
