"""How the page writes numbers: to the places that their interval supports."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
_MOST_PLACES = 8


def places(interval: Sequence[float] | None) -> int | None:
    """Decimal places that a number with this interval has: its half-width to two digits where the first is 1
    or 2, else to one (as the Particle Data Group rounds errors). None without an interval or of one without
    width."""
    if not interval:
        return None
    half = (interval[1] - interval[0]) / 2
    if not half > 0:
        return None
    exponent = math.floor(math.log10(half))
    return min(_MOST_PLACES, max(0, -exponent + (half / 10.0**exponent < 3)))


def metric_text(
    value: float | None, interval: Sequence[float] | None = None, like: float | None = None
) -> str:
    """A metric to the places that its interval supports; without one to about four significant places
    (0.7312, 25.40, 12,346), or to those of `like`."""
    if value is None:
        return MISSING
    supported = places(interval)
    if supported is not None:
        return f"{value:,.{supported}f}"
    size = abs(value if like is None else like)
    text = f"{value:,.{4 if size < 10 else 2 if size < 1000 else 0}f}"
    # A number that is not 0 should not be written as if it were.
    return f"{value:.2e}" if value and not float(text.replace(",", "")) else text


def interval_text(interval: Sequence[float] | None) -> str:
    """Both ends of the interval of a value; nothing where it has no width."""
    if places(interval) is None:
        return ""
    return f"{metric_text(interval[0], interval)} to {metric_text(interval[1], interval)}"  # type: ignore[index]


def _signed(value: float, at: int) -> str:
    text = f"{abs(value):,.{at}f}"
    zero = not float(text.replace(",", ""))
    return ("±" if zero else "+" if value > 0 else "−") + text


def difference_places(interval: Sequence[float] | None) -> int | None:
    """As `places`, and enough that no end is written as 0 where the interval leaves out 0."""
    at = places(interval)
    if at is None:
        return None
    low, high = interval  # type: ignore[misc]
    if low * high > 0:
        while at < _MOST_PLACES and not round(min(abs(low), abs(high)), at):
            at += 1
    return at


def difference_text(value: float | None, interval: Sequence[float] | None = None, like: float = 0.0) -> str:
    """A difference with its sign, in true minus, to the places that its interval supports; without one to
    those of the value it belongs to."""
    if value is None:
        return MISSING
    at = difference_places(interval)
    if at is not None:
        return _signed(value, at)
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    return sign + metric_text(abs(value), like=like)


def difference_interval_text(interval: Sequence[float] | None) -> str:
    """Both ends of the interval of a difference, with signs."""
    at = difference_places(interval)
    return "" if at is None else f"{_signed(interval[0], at)} to {_signed(interval[1], at)}"  # type: ignore[index]


def count_text(value: float | None) -> str:
    """A count with thousands apart."""
    return MISSING if value is None else f"{value:,.0f}"


def seconds_text(value: float | None) -> str:
    """A duration: 0.4 s, 75 s, 12 min 5 s."""
    if value is None:
        return MISSING
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"


def bytes_text(value: float | None) -> str:
    """Memory: 512 MB, 1.4 GB; powers of ten."""
    if value is None:
        return MISSING
    return f"{value / 1e6:,.0f} MB" if value < 1e9 else f"{value / 1e9:,.1f} GB"


def share_text(part: float, whole: float) -> str:
    """A share in percent; nothing where there is no whole."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"
