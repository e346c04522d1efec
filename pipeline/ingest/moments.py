"""Moments as a recipe writes them, in milliseconds since 1970-01-01 UTC, and back."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str) -> int:
    """Of an ISO date or time, UTC where it has no offset."""
    found = datetime.fromisoformat(text)
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(milliseconds=1)


def iso(ms: int) -> str:
    """ISO 8601 in UTC, without an offset."""
    return (_EPOCH + timedelta(milliseconds=ms)).replace(tzinfo=None).isoformat(timespec="milliseconds")
