"""The front as one SVG file that needs nothing else: a panel for the first task against each other one."""

from typing import Any
from xml.sax.saxutils import escape

from pipeline.report.charts import tick_text, ticks

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 360, 70, 20, 34, 58
_LABEL = 'font-size="12" fill="#444"'


def svg(facts: dict[str, Any], tried: dict[str, list[float]]) -> str:
    """The picture.

    Args:
      facts: with two tasks or more.
      tried: task → its metric at every point tried.
    """
    first, *others = facts["tasks"]
    panels = "".join(
        f'<g transform="translate({i * _WIDTH},0)">{_panel(facts, tried, first, other)}</g>'
        for i, other in enumerate(others)
    )
    width = _WIDTH * len(others)
    front = f"{len(facts['front'])} of {facts['tried']} points are on the front"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" '
        f'height="{_HEIGHT}" font-family="system-ui, sans-serif" role="img">'
        f"<title>{escape(facts['metric'])} on validation under different weights of score</title>"
        f'<desc>{front}.</desc><rect width="100%" height="100%" fill="#fff"/>{panels}</svg>\n'
    )


def _panel(facts: dict[str, Any], tried: dict[str, list[float]], across: str, up: str) -> str:
    x_ticks, y_ticks = (ticks(min(tried[t]), max(tried[t])) for t in (across, up))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (right - _LEFT)

    def y(value: float) -> float:
        return bottom - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (bottom - _TOP)

    parts = []
    for value in x_ticks:
        text = tick_text(value, x_ticks[1] - x_ticks[0])
        parts.append(f'<path d="M{x(value):.1f},{_TOP}V{bottom}" stroke="#eee"/>')
        parts.append(
            f'<text x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle" {_LABEL}>{text}</text>'
        )
    for value in y_ticks:
        text = tick_text(value, y_ticks[1] - y_ticks[0])
        parts.append(f'<path d="M{_LEFT},{y(value):.1f}H{right}" stroke="#eee"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" {_LABEL}>{text}</text>')
    metric = escape(facts["metric"])
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 40}" text-anchor="middle" {_LABEL}>'
        f"{escape(across)} {metric}</text>"
    )
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 12}" {_LABEL}>{escape(up)} {metric}</text>')
    for a, b in zip(tried[across], tried[up], strict=True):
        parts.append(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="2" fill="#ccc"/>')
    for point in facts["front"]:
        a, b = point["metrics"][across], point["metrics"][up]
        told = ", ".join(f"{task} {weight:.4g}" for task, weight in point["weights"].items())
        parts.append(
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="#2563eb">'
            f"<title>{escape(told)}</title></circle>"
        )
    for name, color in (("now", "#6b7280"), ("chosen", "#c2410c")):
        if (point := facts[name]) is None or (name == "now" and facts["unchanged"]):
            continue
        a, b = x(point["metrics"][across]), y(point["metrics"][up])
        end = a > (_LEFT + right) / 2
        aside, beside = (-10 if end else 10), (18 if name == "now" else -10)
        parts.append(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="6" fill="none" stroke="{color}" stroke-width="2.5"/>'
        )
        parts.append(
            f'<text x="{a + aside:.1f}" y="{b + beside:.1f}" font-size="12" font-weight="600" '
            f'text-anchor="{"end" if end else "start"}" fill="{color}" paint-order="stroke" '
            f'stroke="#fff" stroke-width="3">{name}</text>'
        )
    return "".join(parts)
