"""How the page writes numbers."""

from __future__ import annotations

MISSING = "–"


def metric_text(value: float | None, like: float | None = None) -> str:
    """A metric to about four significant places (0.7312, 25.40, 12,346), or to those of `like`."""
    if value is None:
        return MISSING
    size = abs(value if like is None else like)
    places = 4 if size < 10 else 2 if size < 1000 else 0
    text = f"{value:,.{places}f}"
    # A number that is not 0 should not be written as if it were.
    return f"{value:.2e}" if value and not float(text.replace(",", "")) else text


def difference_text(value: float | None, like: float) -> str:
    """A difference with its sign, in true minus, to the places of the value it belongs to."""
    if value is None:
        return MISSING
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    return sign + metric_text(abs(value), like)


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


def share_text(part: float, whole: float) -> str:
    """A share in percent; nothing where there is no whole."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"
